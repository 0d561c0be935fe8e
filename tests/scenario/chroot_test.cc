// Dewar started in a chroot(2), as build machines do it: the root is no mount there, and what setns(2) calls the root
// is the host's. The sandbox must be what it is elsewhere, and the host out of reach.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/process.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

TEST(Chroot, TheSandboxIsTheSameAndTheHostOutOfReach) {
  const TempFolder folder;
  const std::string root = folder / "root", canary = folder / "canary";
  ASSERT_TRUE(replace_file(canary, "the host's"));
  ASSERT_TRUE(make_dirs(root + "/var/tmp"));
  ASSERT_TRUE(replace_file(root + "/task.yaml", "name: t\nprocesses: [{name: p, cmdline: 'echo $HOME; test ! -e " +
                                                    canary + " && touch here && ! touch /there 2>/dev/null'}]\n"));
  // Mounts of a namespace of its own: nothing of them is left when the shell has ended.
  const std::string script = R"(
set -e
mount --make-rprivate / || true   # this test may itself run in a chroot
cd )" + root + R"(
for link in bin sbin lib lib64; do [ -L /$link ] && ln -s usr/$link $link || true; done
for folder in usr etc proc sys dev )" +
                             std::string(DEWAR_BIN) + R"(; do
  mkdir -p ./$folder && mount --rbind /${folder#/} ./$folder
done
exec chroot . )" + std::string(DEWAR_BIN) +
                             R"(/dewar run /task.yaml --work-dir /var/tmp/w --task-id t
)";
  Spawn shell;
  shell.program = "/usr/bin/unshare";
  shell.argv = {"unshare", "--mount", "--propagation", "unchanged", "/bin/bash", "-c", script};
  shell.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  shell.fds = {-1, 1, 2};
  const auto pid = spawn(shell);
  ASSERT_TRUE(pid) << pid.error().message();
  int status = 0;
  ASSERT_EQ(::waitpid(*pid, &status, 0), *pid);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  const std::string run = root + "/var/tmp/w/slaves/local/frameworks/local/executors/t/runs/latest";
  EXPECT_TRUE(exists(run + "/sandbox/here"));
  const auto out = read_file(run + "/.logs/p/0/stdout");
  ASSERT_TRUE(out) << out.error().message();
  EXPECT_TRUE(out->starts_with("/var/tmp/w/")) << *out;
}

}  // namespace
}  // namespace dewar
