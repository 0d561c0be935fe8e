// The copy of an attempt's output in the host's own journal.
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/launch/launch_fixture.h"

namespace dewar::testing {
namespace {

constexpr char kSocket[] = "/run/systemd/journal/socket";

class JournaldTest : public LaunchTest {
 protected:
  void SetUp() override {
    if (!exists(kSocket)) GTEST_SKIP() << "no journald here";
    LaunchTest::SetUp();
    if (!IsSkipped()) make_container();
  }
  /// What journalctl tells of entries that match, field by field.
  static std::string journal(const std::string& match) {
    std::string text;
    FILE* told = ::popen(("journalctl --no-pager -o export " + match).c_str(), "r");
    char block[4096];
    for (std::size_t n = 0; (n = std::fread(block, 1, sizeof block, told)) > 0;) text.append(block, n);
    ::pclose(told);
    return text;
  }
};

TEST_F(JournaldTest, LinesAreThereWithTaskProcessAndRun) {
  const std::string task = "journald-test-" + std::to_string(::getpid());
  AttemptRecipe recipe = attempt_recipe("echo to out; echo to err >&2");
  recipe.logs.journal = kSocket;
  recipe.logs.journal_fields = "TASK=" + task + "\nPROCESS=web\nRUN=2\nSYSLOG_IDENTIFIER=web\n";
  EXPECT_EQ(run(recipe).log_error, "");
  EXPECT_EQ(out(), "to out\n") << "it is a copy";
  std::string text;
  // journald takes what is sent when it likes to.
  for (int tries = 0; tries < 1000 && text.find("to err") == std::string::npos; ++tries) {
    text = journal("TASK=" + task);
    ::poll(nullptr, 0, 10);
  }
  for (const char* field :
       {"MESSAGE=to out\n", "MESSAGE=to err\n", "PRIORITY=6\n", "PRIORITY=3\n", "PROCESS=web\n", "RUN=2\n"})
    EXPECT_NE(text.find(field), std::string::npos) << field << " in " << text;
}

}  // namespace
}  // namespace dewar::testing
