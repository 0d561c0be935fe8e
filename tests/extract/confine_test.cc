#include "fetcher/confine.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "tests/extract/archives.h"
#include "tests/extract/extract_fixture.h"

namespace dewar {
namespace {

/// Runs `act` in a confined child: true if it returned true.
class ConfineTest : public ExtractTest {
 protected:
  bool confined(const std::function<bool()>& act) {
    const pid_t child = ::fork();
    if (child == 0) {
      const UniqueFd folder = target();
      ::_exit(confine_extraction(folder.get()) && act() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << status;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
};

bool has_landlock() { return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2; }

bool refused(long result) { return result < 0 && errno == EPERM; }
bool kept_out(long result) { return result < 0 && errno == EACCES; }

TEST_F(ConfineTest, UnpacksAllTheSame) {
  for (const Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kBzip2, Compression::kXz, Compression::kZstd}) {
    const std::string folder = "d" + std::string(suffix_of(compression)), file = folder + "/file";
    const std::string archive = packed(compression, tar({{.name = folder, .type = '5'},
                                                         {.name = file, .content = std::string(1 << 20, 'x')},
                                                         {.name = folder + "/l", .type = '2', .link = "file"},
                                                         {.name = "h" + folder, .type = '1', .link = file}}));
    EXPECT_TRUE(confined([&] { return bool(unpack(archive)); })) << suffix_of(compression);
    EXPECT_EQ(content_of(folder + "/l").size(), 1u << 20);
  }
  EXPECT_TRUE(confined([&] { return bool(unpack(zip({{.name = "in-a-zip", .content = "x"}}))); }));
  EXPECT_EQ(content_of("in-a-zip"), "x");
  EXPECT_TRUE(confined([&] { return !unpack(tar({{.name = "../x"}})); })) << "a refusal is a refusal, not a crash";
}

// covers: S18
TEST_F(ConfineTest, NoProgramNoSocketNoOtherProcess) {
  EXPECT_TRUE(confined([] { return refused(::execl("/bin/true", "true", nullptr)); }));
  EXPECT_TRUE(confined([] { return refused(::syscall(SYS_execveat, AT_FDCWD, "/bin/true", nullptr, nullptr, 0)); }));
  EXPECT_TRUE(confined([] { return refused(::socket(AF_INET, SOCK_STREAM, 0)); }));
  EXPECT_TRUE(confined([] { return refused(::socket(AF_UNIX, SOCK_STREAM, 0)); }));
  EXPECT_TRUE(confined([] { return refused(::fork()); }));
  EXPECT_TRUE(confined([] { return refused(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }));
  EXPECT_TRUE(confined([] { return ::syscall(SYS_clone3, nullptr, 0) < 0 && errno == ENOSYS; }));
  EXPECT_TRUE(confined([] { return refused(::kill(::getppid(), 0)); }));
  EXPECT_TRUE(confined([] { return refused(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }));
  EXPECT_TRUE(confined([] { return refused(::syscall(SYS_io_uring_setup, 1, nullptr)); }));
  EXPECT_TRUE(confined([] { return refused(::syscall(SYS_bpf, 0, nullptr, 0)); }));
  EXPECT_TRUE(confined([] { return refused(::unshare(CLONE_NEWUSER)); }));
  EXPECT_TRUE(confined([] { return refused(::syscall(SYS_setuid, 0)); }));
  EXPECT_TRUE(confined([this] { return refused(::chmod(in_target("").c_str(), 04777)); }));
  EXPECT_TRUE(confined([this] { return refused(::mknod(in_target("null").c_str(), S_IFCHR | 0666, 0x103)); }));
}

// covers: S18
TEST_F(ConfineTest, ThreadsInheritIt) {
  EXPECT_TRUE(confined([] {
    bool held = false;
    std::thread([&] { held = refused(::socket(AF_INET, SOCK_STREAM, 0)); }).join();
    return held;
  }));
}

// covers: S18
TEST_F(ConfineTest, NoFileOutsideTheTarget) {
  if (!has_landlock()) GTEST_SKIP() << "this kernel has no Landlock (ABI 2)";
  const auto before = neighbours();
  EXPECT_TRUE(confined([] { return kept_out(::open("/etc/passwd", O_RDONLY)); }));
  EXPECT_TRUE(confined([this] { return kept_out(::open((canary() + "/file").c_str(), O_WRONLY)); }));
  EXPECT_TRUE(confined([this] { return kept_out(::open((canary() + "/new").c_str(), O_WRONLY | O_CREAT, 0644)); }));
  EXPECT_TRUE(confined([this] { return kept_out(::unlinkat(AT_FDCWD, (canary() + "/file").c_str(), 0)); }));
  EXPECT_TRUE(confined([this] { return kept_out(::mkdirat(AT_FDCWD, (canary() + "/new").c_str(), 0755)); }));
  EXPECT_TRUE(confined([this] { return ::open(in_target("ours").c_str(), O_WRONLY | O_CREAT, 0644) >= 0; }));
  EXPECT_TRUE(confined(
      [this] { return ::renameat(AT_FDCWD, in_target("ours").c_str(), AT_FDCWD, (canary() + "/ours").c_str()) < 0; }));
  EXPECT_EQ(neighbours(), before);
}

TEST_F(ConfineTest, NoCapabilityIsLeft) {
  EXPECT_TRUE(confined([] {
    return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0;  // prctl itself is gone
  }));
  const pid_t child = ::fork();
  if (child == 0) {
    const UniqueFd folder = target();
    auto status = open_file("/proc/self/status", O_RDONLY);
    if (!status || !confine_extraction(folder.get())) ::_exit(1);
    const auto text = read_all(status->get(), "status");
    if (!text) ::_exit(2);
    for (const char* line : {"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
                             "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"})
      if (text->find(line) == std::string::npos) ::_exit(3);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

}  // namespace
}  // namespace dewar
