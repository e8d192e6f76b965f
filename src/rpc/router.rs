//! Names to handlers.
//!
//! Why a table: aiomas walks attributes and so reaches whatever hangs on an exposed object, a container's internals
//! included. Here only what was put in can be called.
//!
//! Contract: a path is names joined by `/`, looked up name by name; the empty path is the root. A node may be a handler, a
//! group of further names, or both. Iteration is in order of names.
//!
//! Failure modes: a `LookupError` in aiomas's words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::CallError;

/// A table from paths to handlers of type `H`.
///
/// ```
/// use isochrone::rpc::Router;
/// let mut router = Router::from_table([("step", 1), ("agents/0/bid", 2)]);
/// router.insert("stop", 3);
/// assert_eq!(router.lookup("agents/0/bid"), Ok(&2));
/// let error = router.lookup("agents/7/bid").unwrap_err();
/// assert_eq!(error.to_string(), r#"LookupError: Name "7" not found in "agents""#);
/// ```
#[derive(Debug, Clone)]
pub struct Router<H> {
    handler: Option<H>,
    children: BTreeMap<Cow<'static, str>, Router<H>>,
}

impl<H> Default for Router<H> {
    fn default() -> Self {
        Router { handler: None, children: BTreeMap::new() }
    }
}

impl<H> Router<H> {
    /// An empty table.
    pub fn new() -> Self {
        Router::default()
    }

    /// A table that is known when the program is compiled.
    pub fn from_table(table: impl IntoIterator<Item = (&'static str, H)>) -> Self {
        let mut router = Router::new();
        for (path, handler) in table {
            let node =
                path.split('/').fold(&mut router, |node, name| node.children.entry(name.into()).or_default());
            node.handler = Some(handler);
        }
        router
    }

    /// Puts a handler at `path` and returns what was there.
    pub fn insert(&mut self, path: &str, handler: H) -> Option<H> {
        self.node(path).handler.replace(handler)
    }

    /// Puts a whole table under `path`, in place of what was there; returns that.
    pub fn mount(&mut self, path: &str, table: Router<H>) -> Router<H> {
        std::mem::replace(self.node(path), table)
    }

    fn node(&mut self, path: &str) -> &mut Router<H> {
        if path.is_empty() {
            return self;
        }
        // A lookup by the borrowed name first, so that only new names are copied.
        path.split('/').fold(self, |node, name| {
            if !node.children.contains_key(name) {
                node.children.insert(name.to_owned().into(), Router::new());
            }
            node.children.get_mut(name).expect("was there or was just put there")
        })
    }

    /// Takes `path` and everything under it out. False if there was nothing.
    pub fn remove(&mut self, path: &str) -> bool {
        let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let Some(rest) = rest else { return self.children.remove(name).is_some() };
        let Some(child) = self.children.get_mut(name) else { return false };
        let removed = child.remove(rest);
        if child.handler.is_none() && child.children.is_empty() {
            self.children.remove(name);
        }
        removed
    }

    /// The handler at `path`.
    ///
    /// # Errors
    /// A name is not there, or what is there cannot be called.
    pub fn lookup(&self, path: &str) -> Result<&H, CallError> {
        let mut node = self;
        let mut walked = 0;
        for name in path.split('/') {
            let Some(child) = node.children.get(name) else {
                let parent = path[..walked].trim_end_matches('/');
                return Err(CallError::lookup_error(format!("Name \"{name}\" not found in \"{parent}\"")));
            };
            node = child;
            walked += name.len() + 1;
        }
        node.handler.as_ref().ok_or_else(|| CallError::lookup_error(format!("\"{path}\" is not exposed")))
    }

    /// The handler on the way along `path` that is nearest to its end, and what of the path is left for it. Without one, where
    /// in the path the name starts that is not there; `None` if what is there is no handler.
    pub(super) fn find<'p>(&self, path: &'p str) -> Result<(&H, &'p str), Option<usize>> {
        let (mut node, mut rest, mut lost) = (self, path, None);
        let mut found = self.handler.as_ref().map(|handler| (handler, rest));
        while !rest.is_empty() || path.is_empty() {
            if node.children.is_empty() {
                lost = Some(path.len() - rest.len());
                break;
            }
            let (name, below) = cut(rest);
            let below = below.unwrap_or_default();
            let Some(child) = node.children.get(name) else {
                lost = Some(path.len() - rest.len());
                break;
            };
            (node, rest) = (child, below);
            found = child.handler.as_ref().map(|handler| (handler, rest)).or(found);
        }
        found.ok_or(lost)
    }

    /// Whether there is anything at `path`: a handler or further names.
    pub fn contains(&self, path: &str) -> bool {
        let mut names = path.split('/').filter(|_| !path.is_empty());
        names.try_fold(self, |node, name| node.children.get(name)).is_some()
    }

    /// All handlers with their paths, in order of their names.
    pub fn iter(&self) -> Vec<(String, &H)> {
        let mut all = Vec::new();
        self.walk("", &mut all);
        all
    }

    fn walk<'a>(&'a self, prefix: &str, all: &mut Vec<(String, &'a H)>) {
        all.extend(self.handler.as_ref().map(|handler| (prefix.to_owned(), handler)));
        for (name, child) in &self.children {
            let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") };
            child.walk(&path, all);
        }
    }

    /// All paths that can be called, in order of their names.
    pub fn paths(&self) -> Vec<String> {
        self.iter().into_iter().map(|(path, _)| path).collect()
    }
}

/// The first name of a path, and what follows its slash.
#[inline]
pub(super) fn cut(path: &str) -> (&str, Option<&str>) {
    // Names are short: a search that starts up fast.
    match path.bytes().position(|byte| byte == b'/') {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(router: &Router<i32>, path: &str) -> String {
        let error = router.lookup(path).unwrap_err();
        assert_eq!(error.kind(), "LookupError");
        error.message().to_owned()
    }

    #[test]
    fn what_is_not_found_is_named_as_aiomas_names_it() {
        let router = Router::from_table([("a/b/c", 1), ("add", 2)]);
        assert_eq!(refused(&router, "a/b/x"), r#"Name "x" not found in "a/b""#);
        assert_eq!(refused(&router, "x/b"), r#"Name "x" not found in """#);
        assert_eq!(refused(&router, ""), r#"Name "" not found in """#);
        assert_eq!(refused(&router, "/add"), r#"Name "" not found in """#);
        assert_eq!(refused(&router, "add/"), r#"Name "" not found in "add""#);
        assert_eq!(refused(&router, "a/b"), r#""a/b" is not exposed"#);
    }

    #[test]
    fn only_what_was_put_in_can_be_called() {
        let mut router = Router::from_table([("init", 1)]);
        assert_eq!(router.insert("agents/0/bid", 2), None);
        assert_eq!(router.insert("agents/0/bid", 3), Some(2));
        let mut agent = Router::new();
        agent.insert("bid", 4);
        agent.insert("ask", 5);
        router.mount("agents/1", agent);
        assert_eq!(router.paths(), ["agents/0/bid", "agents/1/ask", "agents/1/bid", "init"]);
        for (path, handler) in router.paths().iter().zip([3, 5, 4, 1]) {
            assert_eq!(router.lookup(path), Ok(&handler));
        }
    }

    #[test]
    fn a_handler_gets_what_is_left_of_the_path() {
        let mut router = Router::from_table([("agents", 1), ("agents/0/spam", 2), ("add", 3)]);
        assert_eq!(router.find("add"), Ok((&3, "")));
        assert_eq!(router.find("add/x"), Ok((&3, "x")));
        assert_eq!(router.find("agents/7/spam"), Ok((&1, "7/spam")));
        assert_eq!(router.find("agents/0/spam"), Ok((&2, "")));
        assert_eq!(router.find("agents/0/eggs"), Ok((&1, "0/eggs")));
        assert_eq!((router.find("x"), router.find("")), (Err(Some(0)), Err(Some(0))));
        router.insert("", 4);
        assert_eq!((router.find("x/y"), router.find("")), (Ok((&4, "x/y")), Ok((&4, ""))));
        assert!(router.contains("") && router.contains("agents/0") && !router.contains("agents/1"));
    }

    #[test]
    fn without_a_handler_it_is_said_where_the_path_was_lost() {
        let router = Router::from_table([("a/b/c", 1)]);
        assert_eq!((router.find("a/x/c"), router.find("a/b/x")), (Err(Some(2)), Err(Some(4))));
        assert_eq!(router.find("a/b"), Err(None));
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind() {
        let mut router = Router::from_table([("agents/0/bid", 1), ("agents/0", 2), ("agents/1/bid", 3)]);
        assert!(router.remove("agents/0"));
        assert!(!router.remove("agents/0/bid"));
        assert_eq!(refused(&router, "agents/0/bid"), r#"Name "0" not found in "agents""#);
        assert!(router.remove("agents/1/bid"));
        assert_eq!(refused(&router, "agents/1"), r#"Name "agents" not found in """#);
    }
}
