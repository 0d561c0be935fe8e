#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agent/cli/doctor/view.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<Checked> kLines = {
    {"host", "kernel", ok("Linux 6.1")},
    {"host", "root", missing("no: user 7", "use sudo")},
    {"sandbox", "landlock", degraded("not there", "boot Linux 5.19 or later, with landlock in lsm=")},
};

TEST(DoctorView, AlignsNamesAndSaysHowToMend) {
  EXPECT_EQ(show_checks(kLines, "flask", 100, {.utf8 = true}),
            "flask\n"
            "\n"
            "host\n"
            "  ✔ ok        kernel    Linux 6.1\n"
            "  ✘ missing   root      no: user 7\n"
            "                        → use sudo\n"
            "\n"
            "sandbox\n"
            "  ▲ degraded  landlock  not there\n"
            "                        → boot Linux 5.19 or later, with landlock in lsm=\n"
            "\n"
            "No task can run here until what is missing is mended (1 ok, 1 degraded, 1 missing).\n");
}

TEST(DoctorView, WithoutUtf8TheSignsAreAsciiAndColourIsNeverAlone) {
  const std::string plain = show_checks(kLines, "flask", 100, {});
  for (const char* words : {"+ ok", "x missing", "! degraded", "-> use sudo"}) EXPECT_THAT(plain, HasSubstr(words));
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  const std::string colored = show_checks(kLines, "flask", 100, {.color = true});
  EXPECT_THAT(colored, HasSubstr("\x1b[31mx missing"));
  EXPECT_THAT(colored, HasSubstr("\x1b[33m! degraded"));
}

TEST(DoctorView, BreaksLongWordsOfAdviceAtSpacesOnly) {
  const std::string text = show_checks(
      {{"disk", "space", degraded("one two three four five six seven", "a-very-long-word-that-is-not-broken-at-all")}},
      "flask", 44, {});
  EXPECT_THAT(text, HasSubstr("  ! degraded  space  one two three four five\n"
                              "                     six seven\n"
                              "                     -> a-very-long-word-that-is-not-broken-at-all\n"));
}

TEST(DoctorView, WhatTheHostSaysCannotSteerTheTerminal) {
  EXPECT_THAT(show_checks({{"host", "kernel", ok("evil\x1b[2J")}}, "fl\x07sk", 100, {}),
              ::testing::AllOf(HasSubstr("evil?[2J"), HasSubstr("fl?sk")));
}

TEST(DoctorView, TheWorstDecides) {
  EXPECT_EQ(verdict({}), Health::kOk);
  EXPECT_EQ(verdict({kLines[0]}), Health::kOk);
  EXPECT_EQ(verdict({kLines[2], kLines[0]}), Health::kDegraded);
  EXPECT_EQ(verdict(kLines), Health::kMissing);
}

TEST(DoctorView, JsonHasEveryCheck) {
  const auto json = nlohmann::json::parse(checks_json(kLines, "flask"));
  EXPECT_EQ(json["host"], "flask");
  EXPECT_EQ(json["verdict"], "missing");
  ASSERT_EQ(json["checks"].size(), 3u);
  EXPECT_EQ(json["checks"][0],
            (nlohmann::json{
                {"section", "host"}, {"name", "kernel"}, {"health", "ok"}, {"found", "Linux 6.1"}, {"mend", nullptr}}));
  EXPECT_EQ(json["checks"][1]["mend"], "use sudo");
}

TEST(DoctorTrial, AChildsErrorComesBackWithItsWords) {
  EXPECT_TRUE(try_in_child([]() -> Result<void> { return {}; }));
  const auto failed = try_in_child([]() -> Result<void> { return fail(std::errc::no_such_device, "mount 7 things"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "mount 7 things: No such device");
  const auto killed = try_in_child([]() -> Result<void> {
    ::raise(SIGKILL);
    return {};
  });
  ASSERT_FALSE(killed);
  EXPECT_EQ(killed.error().message(), "the trial was killed by signal 9");
}

TEST(DoctorTrial, WhoMayNotTrySaysNothingOfTheHost) {
  const DoctorHost stranger{"/", false, fail("no cgroups")}, root{"/", true, fail("no cgroups")};
  const Result<void> refused = fail(std::errc::operation_not_permitted, "unshare");
  EXPECT_EQ(by_trial(stranger, refused, "made", Health::kMissing, "mend").health, Health::kDegraded);
  const Finding finding = by_trial(root, refused, "made", Health::kMissing, "mend");
  EXPECT_EQ(finding.health, Health::kMissing);
  EXPECT_EQ(finding.found, "unshare: Operation not permitted");
  EXPECT_EQ(by_trial(stranger, {}, "made", Health::kMissing, "mend").health, Health::kOk);
}

}  // namespace
}  // namespace dewar
