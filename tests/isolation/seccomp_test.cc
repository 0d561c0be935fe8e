// The filter on the real kernel, loaded by root with every capability: what is refused here is refused by the filter.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "isolation/seccomp/profile.h"
#include "isolation/seccomp/table.h"
#include "tests/isolation/kernel_fixture.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

class SeccompKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    auto bytes = compile_seccomp("default");
    ASSERT_TRUE(bytes) << bytes.error().message();
    filter_ = std::move(bytes).take();
  }

  bool load() const {
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

TEST_F(SeccompKernel, EveryForbiddenCallIsRefused) {
  for (const SyscallRule& rule : syscall_rules()) {
    if (rule.verdict != Verdict::kForbidden) continue;
    EXPECT_EQ(in_child([&] { return error_of(rule.number); }), EPERM) << rule.name;
  }
}

TEST_F(SeccompKernel, WhatTheTableDoesNotNameIsAbsent) {
  for (const long number : {500L, 1023L, 4000L, static_cast<long>(SYS_clone3), static_cast<long>(SYS_uselib)})
    EXPECT_EQ(in_child([&] { return error_of(number); }), ENOSYS) << number;
}

TEST_F(SeccompKernel, ForbiddenArgumentsAreRefused) {
  EXPECT_EQ(in_child([] { return error_of(SYS_unshare, CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(in_child([] { return error_of(SYS_unshare, CLONE_NEWNS); }), EPERM);
  EXPECT_EQ(in_child([] { return error_of(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0); }), EPERM);
  EXPECT_EQ(in_child([] { return error_of(SYS_socket, AF_VSOCK, SOCK_STREAM, 0); }), EPERM);
  EXPECT_EQ(in_child([] { return error_of(SYS_ioctl, 0, TIOCSTI); }), EPERM);
  EXPECT_EQ(in_child([] { return error_of(SYS_personality, 0x40000); }), EPERM);
}

TEST_F(SeccompKernel, ThirtyTwoBitCallsEndTheProcess) {
  const auto getpid32 = [] {
    long result = 20;  // getpid on i386
    asm volatile("int $0x80" : "+a"(result)::"memory", "r8", "r9", "r10", "r11");
    return result > 0 ? 0 : 1;
  };
  if (wait_for(fork_child(getpid32)) != 0) GTEST_SKIP() << "this kernel has no 32-bit calls";
  EXPECT_EQ(in_child(getpid32), -SIGSYS);
}

TEST_F(SeccompKernel, X32CallsEndTheProcess) {
  EXPECT_EQ(in_child([] { return error_of(0x40000000 + SYS_getpid); }), -SIGSYS);
}

TEST_F(SeccompKernel, OrdinaryProgramsWork) {
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

TEST_F(SeccompKernel, CurlSpeaksOverLoopback) {
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

TEST_F(SeccompKernel, CompiledThreadsAndFutexesWork) {
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

TEST_F(SeccompKernel, JavaRuns) {
  if (::access("/usr/bin/java", X_OK) != 0) GTEST_SKIP() << "needs java";
  EXPECT_EQ(run_script("java -version 2>/dev/null"), 0);
}

}  // namespace
}  // namespace dewar
