//! What the README shows is what the program prints.

#[test]
fn the_readme_tells_the_truth() {
    trycmd::TestCases::new().case("README.md").case("tests/transcripts/*.md");
}
