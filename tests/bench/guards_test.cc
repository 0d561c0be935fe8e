// Instructions, counted by callgrind: they are the same on a busy machine, so that a path that grows fails a test
// before anybody could feel it. The bounds are about three times what was counted; who crosses one looks at what it
// bought, and raises it if it was worth that.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/process.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

constexpr const char* kValgrind = "/usr/bin/valgrind";
const std::string kBin = DEWAR_BIN "/";

class GuardTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!exists(kValgrind)) GTEST_SKIP() << "needs valgrind (packaging/packages)";
  }
  /// In user space, from the program's start to its end; -1 and a failed test if it does not end with `status`.
  long long instructions(std::vector<std::string> argv, int status) {
    const std::string counted = folder_ / "counted";
    argv.insert(argv.begin(),
                {kValgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=" + counted});
    const auto nowhere = open_file("/dev/null", O_WRONLY);
    Spawn program;
    program.program = kValgrind;
    program.argv = argv;
    program.env = {"PATH=/usr/bin:/bin"};
    program.fds = {-1, nowhere->get(), nowhere->get()};
    const auto pid = spawn(program);
    EXPECT_TRUE(pid);
    int end = 0;
    if (pid) retry_eintr([&] { return ::waitpid(*pid, &end, 0); });
    EXPECT_TRUE(WIFEXITED(end) && WEXITSTATUS(end) == status) << argv[4] << ": wait status " << end;
    const auto text = read_file(counted);
    const std::string words = "Collected : ";
    const std::size_t at = text ? text->find(words) : std::string::npos;
    EXPECT_NE(at, std::string::npos);
    return at == std::string::npos ? -1 : std::atoll(text->c_str() + at + words.size());
  }
  /// Of one more, from a hundred to two hundred.
  long long each(const std::string& path) {
    const auto of = [&](const char* count) {
      return instructions({kBin + "drive_paths", path, count, folder_ / (path + count)}, 0);
    };
    return (of("200") - of("100")) / 100;
  }
  TempFolder folder_;
};

// The runner's and the launcher's are paid for every task and every attempt.
TEST_F(GuardTest, StartingAProgram) {
  EXPECT_LT(instructions({kBin + "dewar-runner"}, 101), 130'000);
  EXPECT_LT(instructions({kBin + "dewar-launch"}, 2), 130'000);
  EXPECT_LT(instructions({kBin + "dewar", "--version"}, 0), 1'300'000);
  EXPECT_LT(instructions({kBin + "dewar-fetch"}, 2), 50'000'000);
}

TEST_F(GuardTest, AProcessOfTheGraphFromReadyToItsEnd) { EXPECT_LT(each("plan"), 50'000); }
TEST_F(GuardTest, TheRecordsOfAProcessWrittenAndReadAgain) { EXPECT_LT(each("records"), 200'000); }
TEST_F(GuardTest, AProcessInTheRunnersSpec) { EXPECT_LT(each("spec"), 35'000); }
TEST_F(GuardTest, AFilterOfSystemCalls) { EXPECT_LT(each("filter"), 360'000); }
TEST_F(GuardTest, ARecordOfALogsIndex) { EXPECT_LT(each("index"), 1'300); }

}  // namespace
}  // namespace dewar
