//! Who may call what.
//!
//! Contract: with a list, what no rule allows is refused: a peer without an identity (plain TCP) may then do nothing. A rule
//! is a pattern of identities and a pattern of paths, in which `*` stands for anything. The path is the one on the wire,
//! `agents/house_3/bid`; who may call anything may also ask whether agents are there.

/// Which peers may call which methods.
///
/// ```
/// use isochrone::container::AllowList;
/// let allow = AllowList::new().rule("dns:*.grid.example.org", "agents/*/bid").rule("uid:*", "*");
/// let house = ["dns:house_3.grid.example.org".to_string()];
/// assert!(allow.allows(&house, "agents/market/bid"));
/// assert!(!allow.allows(&house, "agents/market/close"));
/// assert!(!allow.allows(&[], "agents/market/bid"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    rules: Vec<(String, String)>,
}

impl AllowList {
    /// A list that allows nothing.
    pub fn new() -> Self {
        AllowList::default()
    }

    /// Lets peers whose identity matches the first pattern call what matches the second one. Identities are those of
    /// [`Peer`](crate::channel::transport::Peer): `dns:house.example.org`, `uri:..`, `ip:..`, `cn:..`, `uid:1000`, and
    /// `process:grid` for the container `grid` of this process.
    #[must_use]
    pub fn rule(mut self, identity: &str, path: &str) -> Self {
        self.rules.push((identity.into(), path.into()));
        self
    }

    /// Whether somebody with these identities may call what is at `path`.
    pub fn allows(&self, identities: &[String], path: &str) -> bool {
        let known = |pattern: &str| identities.iter().any(|identity| matches(pattern, identity));
        self.rules.iter().any(|(who, what)| matches(what, path) && known(who))
    }

    /// Whether somebody with these identities may call anything at all.
    pub(super) fn knows(&self, identities: &[String]) -> bool {
        self.rules.iter().any(|(who, _)| identities.iter().any(|identity| matches(who, identity)))
    }
}

/// Whether the whole text matches a pattern in which `*` stands for anything. Linear but for going back to the last star.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, t) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_the_rest_for_itself() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "abc"),
            ("a*c", "ac"),
            ("a*b*c", "a1b2b3c"),
            ("**", "x"),
            ("", ""),
            ("*.de", "a.b.de"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a*c", "abd"), ("", "a"), ("a", "ab"), ("*a", "ab"), ("a.c", "abc"), ("a*b*c", "ab")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn what_no_rule_allows_is_refused() {
        let nobody = AllowList::new();
        assert!(!nobody.allows(&["dns:a".into()], "agents/0/bid"));
        let allow = AllowList::new().rule("dns:a", "agents/*/bid");
        assert!(allow.knows(&["cn:x".into(), "dns:a".into()]));
        assert!(!allow.knows(&["dns:b".into()]));
        assert!(!allow.allows(&["dns:b".into()], "agents/0/bid"));
    }
}
