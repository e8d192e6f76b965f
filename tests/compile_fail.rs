//! What `#[agent]` refuses, it refuses in one sentence on the tokens it is about, and nothing else is reported.

#[test]
fn what_agent_refuses_is_one_sentence_on_the_users_own_tokens() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
