#include "thermos/secrets.h"

#include <gtest/gtest.h>

namespace dewar {
namespace {

TEST(Secrets, NamesTell) {
  for (const char* name : {"TOKEN", "GITHUB_TOKEN", "dbPassword", "AWS_SECRET_ACCESS_KEY", "X-Api-Key", "Authorization",
                           "MYSQL_PASSWD", "GOOGLE_CREDENTIALS", "X-Amz-Signature"})
    EXPECT_TRUE(is_secret_name(name)) << name;
  for (const char* name : {"LANG", "PATH", "HOME", "PORT", "", "TOK"}) EXPECT_FALSE(is_secret_name(name)) << name;
}

TEST(Secrets, AreMaskedByValueAndNotEvenTheirLengthIsTold) {
  Secrets secrets;
  secrets.add("hunter2");
  secrets.add("hunter2-and-more");
  secrets.add("abc");  // too short to look for
  secrets.add("");
  EXPECT_EQ(secrets.masked("a hunter2 b hunter2hunter2 abc"), "a *** b ****** abc");
  EXPECT_EQ(secrets.masked("hunter2-and-more"), "***") << "as one";
  EXPECT_EQ(secrets.masked(""), "");
}

TEST(Secrets, ThatOverlapLeaveNothingOfEither) {
  Secrets secrets;
  secrets.add("abcdef");
  secrets.add("defghi");
  secrets.add("bcde");
  EXPECT_EQ(secrets.masked("x abcdefghi y"), "x *** y");
}

TEST(Secrets, WhereTheBytesWentIsKnown) {
  Secrets secrets;
  secrets.add("hunter2");
  secrets.add("yes!");
  const MaskedText masked = secrets.mask("a hunter2 b yes! c");
  ASSERT_EQ(masked.text, "a *** b *** c");
  EXPECT_EQ(masked.moved(0), 0u);
  EXPECT_EQ(masked.moved(2), 2u) << "the beginning of a mask";
  EXPECT_EQ(masked.moved(5), 5u) << "within a secret: the end of its mask";
  EXPECT_EQ(masked.moved(9), 5u);
  EXPECT_EQ(masked.moved(10), 6u);
  EXPECT_EQ(masked.moved(12), 8u);
  EXPECT_EQ(masked.moved(16), 11u);
  EXPECT_EQ(masked.moved(18), 13u) << "the end";
  EXPECT_EQ(secrets.mask("").moved(0), 0u);
}

TEST(Secrets, AreFoundAsJsonAndAddressesWriteThem) {
  Secrets secrets;
  secrets.add("pa\"ss\\word");
  EXPECT_EQ(secrets.masked(R"({"x":"pa\"ss\\word"})"), R"({"x":"***"})");
  Secrets encoded;
  encoded.add("p%40ssword");
  EXPECT_EQ(encoded.masked("p@ssword p%40ssword"), "*** ***");
}

TEST(Secrets, OfUrisAreUserinfoAndTellingParameters) {
  Secrets secrets;
  secrets.add_from_uris("curl -f 'https://bob:s3cret99@host/a?x=1&token=tok3n42&sig=abcdef' ftp://anonymous@h/");
  EXPECT_EQ(secrets.masked("s3cret99 tok3n42 abcdef bob host"), "*** *** *** bob host");
  secrets.add_from_uris("https://tok3nalone@github.com/x");
  EXPECT_EQ(secrets.masked("tok3nalone"), "***") << "userinfo without a password is a token";
  secrets.add_from_uris("://@ ://:@/ http:// https://x?=&&token=");  // nothing to find, nothing to fail at
}

RunnerSpec spec() {
  RunnerSpec spec;
  spec.task_json = R"({"environment":{"TOKEN":"value-one","MARKED":"value-two","PIN_KEY":"1","PORT":"1"}})";
  spec.source = "value-one";
  spec.sandbox.environment = {{"TOKEN", "value-one"},
                              {"MARKED", "value-two"},
                              {"PIN_KEY", "1"},
                              {"LANG", "C.UTF-8"},
                              {"URL", "http://u:value-three@h/"}};
  spec.sandbox.secrets = {"MARKED"};
  spec.preserved_environment = {"AWS_SECRET=value-four", "EDITOR=vi", "ODD"};
  ProcessSpec process;
  process.name = "p";
  process.cmdline = "curl http://u:value-five@h/ -H 'value-one'";
  Artifact artifact;
  artifact.uri = "http://u:value-six@h/a";
  artifact.headers = {{"X-Auth", "Bearer value-seven"}};
  process.fetch = {artifact};
  spec.plan.processes = {process};
  return spec;
}

TEST(Secrets, OfATaskAreAllThatItWasGiven) {
  const Secrets secrets = secrets_of(spec());
  for (const char* number : {"one", "two", "three", "four", "five", "six", "seven"}) {
    const std::string value = "value-" + std::string(number);
    EXPECT_EQ(secrets.masked(value), "***");
  }
  EXPECT_EQ(secrets.masked("C.UTF-8 vi Bearer"), "C.UTF-8 vi Bearer");
}

TEST(Secrets, AMaskedSpecHasNoneAndIsASpec) {
  const RunnerSpec shown = masked(spec(), secrets_of(spec()));
  const std::string bytes = encode_runner_spec(shown);
  EXPECT_EQ(bytes.find("value-"), std::string::npos);
  EXPECT_EQ(shown.sandbox.environment.at("PIN_KEY"), "***") << "however short";
  EXPECT_EQ(shown.task_json, R"({"environment":{"TOKEN":"***","MARKED":"***","PIN_KEY":"***","PORT":"1"}})");
  EXPECT_EQ(shown.sandbox.environment.at("LANG"), "C.UTF-8");
  EXPECT_EQ(shown.preserved_environment[1], "EDITOR=vi");
}

}  // namespace
}  // namespace dewar
