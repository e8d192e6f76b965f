//! What `#[agent]` and `#[service]` refuse, they refuse in one sentence on the tokens it is about, and nothing else is reported.

#[test]
fn what_our_attributes_refuse_is_one_sentence_on_the_users_own_tokens() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
