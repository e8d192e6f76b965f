//! Errors as the two dialects of the wire write them.
//!
//! Why two: aiomas sends a failure as one text, the formatted traceback of Python; mosaik as a list `[type, message,
//! lines...]`, and it hangs for ever if it gets anything else.
//!
//! Contract: [`CallError::from_failure`] reads both, since a peer's failure says which it is, and never fails: what
//! cannot be parsed is the message of a `RemoteError`.

use super::CallError;
use crate::channel::Failure;
use crate::codec::Value;

const HEAD: &str = "Traceback (most recent call last):";

impl CallError {
    /// What a caller sees of a request that failed.
    pub fn from_failure(failure: Failure) -> CallError {
        match failure {
            Failure::Closed(reason) => CallError::disconnected(&*reason),
            Failure::Remote(Value::Str(text)) => from_text(&text),
            Failure::Remote(Value::List(parts)) => from_parts(parts),
            Failure::Remote(other) => CallError::remote(other.to_string()),
        }
    }

    /// The content of a failure for an aiomas peer: one text of several lines whose last is `kind: message`.
    pub fn to_aiomas(&self) -> Value {
        let mut text = String::new();
        // as Python's is told from the exception: one that has no head is given it, and its lines stand back
        let is_ours = self.trace().first().is_some_and(|line| line != HEAD);
        let (head, indent) = if is_ours { (Some(HEAD), "  ") } else { (None, "") };
        for line in head.into_iter().chain(self.trace().iter().map(String::as_str)) {
            let indent = if line == HEAD || line.starts_with(' ') { "" } else { indent };
            text.extend([indent, line.trim_end_matches('\n'), "\n"]);
        }
        text.push_str(&self.to_string());
        text.push('\n');
        Value::Str(text)
    }

    /// The content of a failure for mosaik: a list of kind, message and the lines of the trace.
    pub fn to_mosaik(&self) -> Value {
        Value::list([self.kind(), self.message()].into_iter().chain(self.trace().iter().map(String::as_str)))
    }
}

/// mosaik: `[type, message, lines...]`.
fn from_parts(parts: Vec<Value>) -> CallError {
    let text = |value: Value| match value {
        Value::Str(text) => text,
        other => other.to_string(),
    };
    let mut parts = parts.into_iter().map(text);
    match (parts.next(), parts.next()) {
        (Some(kind), Some(message)) => CallError::new(kind, message).with_trace(parts),
        (Some(text), None) => from_text(&text),
        _ => CallError::remote(""),
    }
}

/// aiomas: a formatted traceback. The exception is what follows the indented lines of the last stack in it; causes come
/// before.
fn from_text(text: &str) -> CallError {
    let lines: Vec<&str> = text.trim_end_matches('\n').split('\n').collect();
    let head = lines.iter().rposition(|line| *line == HEAD).map_or(0, |at| at + 1);
    let stack = lines[head..].iter().take_while(|line| head > 0 && line.starts_with(' ')).count();
    let (trace, exception) = lines.split_at(head + stack);
    let exception = exception.join("\n");
    let (name, message) = exception.split_once(": ").unwrap_or((&exception, ""));
    let error = match name.rsplit('.').next() {
        Some(kind) if is_dotted_name(name) => CallError::new(kind.to_owned(), message),
        _ => CallError::remote(exception),
    };
    error.with_trace(trace.iter().copied())
}

fn is_dotted_name(name: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    // aiomas peers may define exceptions within functions.
    name.split('.').all(|part| is_identifier(part) || part == "<locals>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> CallError {
        CallError::from_failure(Failure::Remote(Value::from(text)))
    }

    #[test]
    fn a_python_traceback_ends_with_kind_and_message() {
        let text = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\n\
                    json.decoder.JSONDecodeError: bad: very\nbad\n";
        let error = parsed(text);
        assert_eq!((error.kind(), error.message()), ("JSONDecodeError", "bad: very\nbad"));
        assert_eq!(error.trace().len(), 3);
    }

    #[test]
    fn of_chained_causes_the_last_counts() {
        let text = "Traceback (most recent call last):\n  File \"a.py\"\nKeyError: 'x'\n\n\
                    During handling of the above exception, another exception occurred:\n\n\
                    Traceback (most recent call last):\n  File \"b.py\"\nValueError: spam\n";
        assert_eq!(parsed(text).to_string(), "ValueError: spam");
    }

    #[test]
    fn a_failure_without_traceback_is_understood_too() {
        assert_eq!(parsed("ValueError: 42\n").to_string(), "ValueError: 42");
        assert_eq!(parsed("KeyError\n"), CallError::new("KeyError", ""));
        assert_eq!(parsed("it does not work").to_string(), "RemoteError: it does not work");
        assert_eq!(parsed(""), CallError::remote(""));
        let odd = |value| CallError::from_failure(Failure::Remote(value)).to_string();
        assert_eq!(odd(Value::Int(5)), "RemoteError: 5");
        assert_eq!(odd(Value::List(vec![])), "RemoteError");
        assert_eq!(odd(Value::list([Value::from("E"), Value::Int(1)])), "E: 1");
    }

    #[test]
    fn errors_survive_both_dialects() {
        let plain = CallError::new("TooMuch", "9: kW\nand more");
        let traced = CallError::new("TooMuch", "").with_trace([HEAD, "  in House#1.set"]);
        for error in [plain, traced] {
            assert_eq!(CallError::from_failure(Failure::Remote(error.to_aiomas())), error);
            assert_eq!(CallError::from_failure(Failure::Remote(error.to_mosaik())), error);
        }
        // one that Python has not written is told as if it had
        let ours = CallError::new("TooMuch", "9 kW").with_trace(["House#1.set"]);
        let told = CallError::from_failure(Failure::Remote(ours.to_aiomas()));
        assert_eq!(told, CallError::new("TooMuch", "9 kW").with_trace([HEAD, "  House#1.set"]));
        assert_eq!(CallError::timeout("late").to_mosaik(), Value::list(["Timeout", "late"]));
        let closed = CallError::from_failure(Failure::Closed("the peer closed the connection".into()));
        assert_eq!(closed.to_string(), "Disconnected: the peer closed the connection");
    }
}
