// The filter on the real kernel, loaded by root with every capability: what is refused here is refused by the filter.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "isolation/seccomp/profile.h"
#include "tests/isolation/kernel_fixture.h"
#include "tests/support/call32.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

class SeccompKernel : public ::testing::Test {
 protected:
  void SetUp() override { compile("default"); }

  void compile(const std::string& profile) {
    auto bytes = compile_seccomp(profile);
    ASSERT_TRUE(bytes) << bytes.error().message();
    filter_ = std::move(bytes).take();
  }

  bool load() const {
    constexpr rlimit kNoCore{0, 0};
    ::setrlimit(RLIMIT_CORE, &kNoCore);
    sock_fprog program{static_cast<unsigned short>(filter_.size() / sizeof(sock_filter)),
                       reinterpret_cast<sock_filter*>(const_cast<char*>(filter_.data()))};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
  }

  /// What a filtered child ends with.
  int in_child(const std::function<int()>& act) const {
    return wait_for(fork_child([&] { return load() ? act() : 119; }));
  }

  /// Runs a shell script under the filter; its exit status.
  int run_script(const std::string& script) const {
    return in_child([&] {
      ::execl("/bin/bash", "bash", "-c", script.c_str(), nullptr);
      return 118;
    });
  }

 private:
  std::string filter_;
};

/// errno of a call with these arguments, 0 if it worked.
int error_of(long number, long a = -1, long b = -1, long c = -1) {
  errno = 0;
  return ::syscall(number, a, b, c, -1L, -1L, -1L) < 0 ? errno : 0;
}

bool has_32_bit_calls() {
  constexpr long kGetpid = 20;
  return wait_for(fork_child([] { return call32(kGetpid) > 0 ? 0 : 1; })) == 0;
}

TEST_F(SeccompKernel, AProfileFileHoldsForAllItsArchitectures) {
  const TempFolder folder;
  ASSERT_TRUE(replace_file(folder / "profile.json",
                           R"({"defaultAction": "SCMP_ACT_ALLOW",
                               "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
                               "syscalls": [{"names": ["getpid", "mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42},
                                            {"names": ["unlink"], "action": "SCMP_ACT_KILL_PROCESS"}]})"));
  compile(folder / "profile.json");
  EXPECT_EQ(in_child([] { return error_of(SYS_getpid); }), 42);
  EXPECT_EQ(in_child([] { return error_of(SYS_mkdir); }), 42);
  EXPECT_EQ(in_child([] { return error_of(SYS_unlink); }), -SIGSYS);
  EXPECT_EQ(in_child([] { return error_of(SYS_getppid); }), 0);
  EXPECT_EQ(in_child([] { return error_of(0x40000000 + SYS_mkdir); }), 42);
  if (!has_32_bit_calls()) GTEST_SKIP() << "this kernel has no 32-bit calls";
  EXPECT_EQ(in_child([] { return static_cast<int>(-call32(20)); }), 42) << "getpid";
  EXPECT_EQ(in_child([] { return static_cast<int>(-call32(39)); }), 42) << "mkdir";
  EXPECT_EQ(in_child([] { return call32(64) >= 0 ? 0 : 1; }), 0) << "getppid";
}

TEST_F(SeccompKernel, WhatTheTableDoesNotNameIsAbsent) {
  for (const long number : {500L, 1023L, 4000L, static_cast<long>(SYS_clone3), static_cast<long>(SYS_uselib)})
    EXPECT_EQ(in_child([&] { return error_of(number); }), ENOSYS) << number;
}

class SeccompPrograms : public SeccompKernel, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { compile(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Profiles, SeccompPrograms, ::testing::Values("default", "strict"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(SeccompPrograms, OrdinaryProgramsWork) {
  EXPECT_EQ(run_script("echo a | cat | grep -q a && (sleep 0 & wait) && ls / >/dev/null && date >/dev/null"), 0);
  EXPECT_EQ(run_script("python3 -c 'import threading, subprocess, tempfile, sqlite3\n"
                       "t = [threading.Thread(target=lambda: sum(range(1000))) for _ in range(8)]\n"
                       "[x.start() for x in t]; [x.join() for x in t]\n"
                       "assert subprocess.run([\"true\"]).returncode == 0\n"
                       "sqlite3.connect(tempfile.mktemp()).execute(\"create table x(y)\")'"),
            0);
  EXPECT_EQ(run_script("python3 -c 'import asyncio, multiprocessing as m\n"
                       "asyncio.run(asyncio.sleep(0)); p = m.Process(target=print); p.start(); p.join()\n"
                       "assert p.exitcode == 0' >/dev/null"),
            0);
}

TEST_P(SeccompPrograms, CurlSpeaksOverLoopback) {
  if (::access("/usr/bin/curl", X_OK) != 0) GTEST_SKIP() << "needs curl";
  EXPECT_EQ(run_script("cd /etc; python3 - <<'end'\n"
                       "import http.server, subprocess, threading\n"
                       "class Quiet(http.server.SimpleHTTPRequestHandler):\n"
                       "  def log_message(self, *words): pass\n"
                       "server = http.server.HTTPServer((\"127.0.0.1\", 0), Quiet)\n"
                       "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
                       "url = \"http://127.0.0.1:%d/passwd\" % server.server_port\n"
                       "got = subprocess.run([\"curl\", \"-sf\", \"--noproxy\", \"*\", url], capture_output=True)\n"
                       "exit(got.returncode or got.stdout != open(\"passwd\", \"rb\").read())\n"
                       "end"),
            0);
}

TEST_P(SeccompPrograms, CompiledThreadsAndFutexesWork) {
  if (::access("/usr/bin/g++", X_OK) != 0) GTEST_SKIP() << "needs g++";
  const TempFolder folder;
  ASSERT_TRUE(replace_file(folder / "threads.cc",
                           "#include <thread>\n#include <mutex>\n#include <vector>\n"
                           "int main() { std::mutex m; int n = 0; std::vector<std::thread> t;\n"
                           "for (int i = 0; i < 8; ++i) t.emplace_back([&] { for (int j = 0; j < 1000; ++j) {\n"
                           "std::lock_guard l(m); ++n; } });\n"
                           "for (auto& x : t) x.join(); return n != 8000; }\n"));
  EXPECT_EQ(run_script("cd " + folder.path() + " && g++ -pthread threads.cc -o threads && ./threads"), 0)
      << "the compiler itself runs under the filter too";
}

TEST_P(SeccompPrograms, JavaRuns) {
  if (::access("/usr/bin/java", X_OK) != 0) GTEST_SKIP() << "needs java";
  EXPECT_EQ(run_script("java -version 2>/dev/null"), 0);
}

}  // namespace
}  // namespace dewar
