// `dewar doctor` as a whole, on this host: as root, as nobody, in a chroot, and where something is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "tests/cli/dewar_command.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

struct Answer {
  int code;
  std::string text;
};

/// What a shell prints and how it ends.
Answer sh(const std::string& command) {
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "re");
  std::string text;
  char block[4096];
  while (const std::size_t n = std::fread(block, 1, sizeof block, pipe)) text.append(block, n);
  return {WEXITSTATUS(::pclose(pipe)), text};
}

json check(const json& report, const std::string& name) {
  for (const json& line : report["checks"])
    if (line["name"] == name) return line;
  ADD_FAILURE() << "no check " << name;
  return {};
}

json examine(const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"doctor", "-o", "json"};
  words.insert(words.end(), more.begin(), more.end());
  DewarCommand doctor(words);
  const int code = doctor.wait();
  const json report = json::parse(doctor.out());
  EXPECT_EQ(code, report["verdict"] == "missing" ? 1 : 0);
  EXPECT_EQ(doctor.err(), "");
  return report;
}

class Doctor : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
};

TEST_F(Doctor, FindsWhatTheTestsNeedAndSaysHowToMendTheRest) {
  const json report = examine();
  EXPECT_NE(report["verdict"], "missing") << "the other tests run here: " << report;
  for (const char* name : {"kernel", "root", "version", "subtree", "controllers", "mount namespace", "seccomp"})
    EXPECT_EQ(check(report, name)["health"], "ok") << check(report, name);
  for (const json& line : report["checks"]) {
    EXPECT_FALSE(line["found"].get<std::string>().empty()) << line;
    EXPECT_EQ(line["mend"].is_null(), line["health"] == "ok") << line;
  }
  const bool v2_alone = exists("/sys/fs/cgroup/cgroup.controllers");
  EXPECT_EQ(check(report, "version")["found"].get<std::string>().starts_with("v2"), v2_alone);
}

TEST_F(Doctor, ShowsTheSameAsATable) {
  DewarCommand doctor({"doctor"}, DewarCommand::Output::kTerminal);
  EXPECT_EQ(doctor.wait(), 0);
  EXPECT_THAT(doctor.out(), HasSubstr("\x1b[32m✔ ok"));
  EXPECT_THAT(doctor.out(), HasSubstr("Tasks can run here"));
  DewarCommand plain({"doctor", "--color", "never"}, DewarCommand::Output::kTerminal);
  EXPECT_EQ(plain.wait(), 0);
  EXPECT_THAT(plain.out(), ::testing::Not(HasSubstr("\x1b[")));
}

TEST_F(Doctor, AMissingRequirementEndsWithOne) {
  const json nowhere = examine({"--cgroup", "/no/such/group"});
  EXPECT_EQ(nowhere["verdict"], "missing");
  EXPECT_THAT(check(nowhere, "version")["found"], HasSubstr("there is no cgroup '/no/such/group'"));
  EXPECT_EQ(check(examine({"--work-dir", "/no/such/folder"}), "disk space")["health"], "missing");

  const TempFolder folder;
  ASSERT_EQ(sh("cp " DEWAR_BIN "/dewar " + folder.path()).code, 0);
  const Answer alone = sh(folder / "dewar" + std::string(" doctor"));
  EXPECT_EQ(alone.code, 1);
  EXPECT_THAT(alone.text, HasSubstr("find dewar-runner beside " + folder.path()));
}

TEST_F(Doctor, NobodyIsToldThatRootIsNeededAndNothingUntrueOfTheHost) {
  const TempFolder folder;  // where nobody can reach the programs
  ASSERT_EQ(sh("cp " DEWAR_BIN "/dewar* " + folder.path() + " && chmod 755 " + folder.path()).code, 0);
  const Answer answer =
      sh("setpriv --reuid 65534 --regid 65534 --clear-groups " + folder.path() + "/dewar doctor -o json");
  EXPECT_EQ(answer.code, 1);
  const json report = json::parse(answer.text);
  for (const json& line : report["checks"]) {
    if (line["name"] == "root") continue;
    EXPECT_NE(line["health"], "missing") << line;
  }
  EXPECT_EQ(check(report, "root")["health"], "missing");
  EXPECT_EQ(check(report, "mount namespace")["found"], "not tried: only root may");
}

TEST_F(Doctor, WorksInAChroot) {
  const TempFolder folder;
  const std::string script = R"(
mount --make-rprivate / || true   # this test may itself run in a chroot
mkdir -p root/var/tmp && cd root
for link in bin sbin lib lib64; do [ -L /$link ] && ln -s usr/$link $link || true; done
for name in usr etc proc sys dev )" +
                             std::string(DEWAR_BIN) + R"(; do
  mkdir -p ./$name && mount --rbind /${name#/} ./$name
done
exec chroot . )" + std::string(DEWAR_BIN) +
                             "/dewar doctor -o json";
  ASSERT_TRUE(replace_file(folder / "script", "set -e\ncd " + folder.path() + script));
  const Answer answer = sh("unshare --mount --propagation unchanged /bin/bash " + folder / "script");
  EXPECT_EQ(answer.code, 0) << answer.text;
  EXPECT_NE(json::parse(answer.text)["verdict"], "missing") << answer.text;
}

}  // namespace
}  // namespace dewar
