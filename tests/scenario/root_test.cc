// Whole tasks in images and user namespaces.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "isolation/id_range.h"
#include "tests/isolation/image_fixture.h"
#include "tests/scenario/task_run.h"
#include "thermos/events.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    make_small_root(folder_ / "root");
    ASSERT_TRUE(make_dirs(folder_ / "root/etc"));
    ASSERT_TRUE(replace_file(folder_ / "root/etc/passwd", "root:x:0:0::/:/bin/sh\napp:x:1234:1234::/:/bin/sh\n"));
  }
  std::string archive() {
    EXPECT_EQ(std::system(("tar -C " + (folder_ / "root") + " -cf " + (folder_ / "root.tar") + " .").c_str()), 0);
    return folder_ / "root.tar";
  }
  std::string layout(const std::string& config) {
    add_oci_image(folder_ / "layout", "v1", {*read_file(archive())}, config);
    return folder_ / "layout";
  }
  static std::string task(const std::string& cmdline, const std::string& sandbox, const std::string& more = "") {
    return "name: t\n" + more + "processes: [{name: p, cmdline: '" + cmdline + "'}]\nsandbox: " + sandbox + "\n";
  }
  static TaskRun::Options nobody_named() {
    TaskRun::Options options;
    options.user.clear();
    return options;
  }
  static std::string events_of(const TaskRun& run) {
    std::string words;
    for (const EventRecord& event : read_events(run.spec().run_folder)) words += event.kind + ": " + event.words + "\n";
    return words;
  }
  TempFolder folder_;
};

TEST_F(RootTest, ATaskRunsInAnImageAsItsConfigSays) {
  const std::string config =
      R"({"config":{"Env":["PATH=/bin:/app","COLOUR=blue","SIZE=1"],"User":"app","Entrypoint":["/no"]}})";
  TaskRun run(task("id -u; echo $PATH $COLOUR $SIZE; cat /etc/passwd; echo x > /x || echo read-only",
                   "{root: {path: " + layout(config) + ", tag: v1}, environment: {SIZE: 2}}"),
              nobody_named());
  EXPECT_EQ(run.run().state(), TaskState::kSuccess);
  EXPECT_EQ(run.output("p"), "1234\n/bin:/app blue 2\n" + *read_file(folder_ / "root/etc/passwd") + "read-only\n");
  EXPECT_THAT(events_of(run), HasSubstr("root: the root is " + (folder_ / "layout") + ", sha256:"));
  EXPECT_THAT(events_of(run), HasSubstr("unpacked to "));
  EXPECT_THAT(events_of(run), Not(HasSubstr("/bin/sh")));
}

TEST_F(RootTest, AnImageCannotMakeATaskRoot) {
  TaskRun run(task("id -u", "{root: " + layout(R"({"config":{"User":"root"}})") + "}"), nobody_named());
  EXPECT_EQ(run.run().state(), TaskState::kSuccess);
  EXPECT_EQ(run.output("p"), "65534\n");
  EXPECT_THAT(events_of(run), HasSubstr("it would run as root, which only a task file can ask for"));
}

TEST_F(RootTest, WithoutBashTheShellIsSh) {
  ASSERT_TRUE(remove_tree(folder_ / "root/bin/sh"));
  ASSERT_EQ(::rename((folder_ / "root/bin/bash").c_str(), (folder_ / "root/bin/sh").c_str()), 0);
  TaskRun run(task("echo $0", "{root: " + archive() + "}"));
  EXPECT_EQ(run.run().state(), TaskState::kSuccess);
  EXPECT_EQ(run.output("p"), "/bin/sh\n");
  EXPECT_THAT(events_of(run), HasSubstr("it has no /bin/bash; command lines run under /bin/sh"));
}

TEST_F(RootTest, RootInAUserNamespaceChangesItsImageInItsLayerOnly) {
  TaskRun run(task("id -u; echo x > made; echo new > /etc/passwd && cat /etc/passwd || echo unmapped",
                   "{root: {path: " + archive() + ", writable: true}, user_namespace: true}"));
  EXPECT_EQ(run.run().state(), TaskState::kSuccess);
  EXPECT_THAT(run.output("p"), ::testing::AnyOf("0\nnew\n", "0\nunmapped\n"));
  EXPECT_GE(run.spec().first_id, kFirstRange);
  EXPECT_EQ(*read_file(run.spec().image_folder + "/etc/passwd"), *read_file(folder_ / "root/etc/passwd"));
  struct stat info {};
  ASSERT_EQ(::stat((run.sandbox() + "/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, run.spec().first_id);
  ASSERT_EQ(::stat((run.spec().run_folder + "/.logs/p/0/stdout").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u) << "its output is nobody's to change";
}

TEST_F(RootTest, AUserNamespaceOverTheHostsRoot) {
  TaskRun run(task("id -u; touch file; ls /usr >/dev/null && echo seen; cat /etc/shadow || echo hidden",
                   "{user_namespace: true}"));
  EXPECT_EQ(run.run().state(), TaskState::kSuccess);
  EXPECT_EQ(run.output("p"), "0\nseen\nhidden\n");
}

/// The container's other namespaces belong to the host's user namespace.
TEST_F(RootTest, ACapabilityInAUserNamespaceIsNoneOverTheContainer) {
  TaskRun run(
      task("grep CapEff /proc/self/status; mount -t tmpfs x /tmp || echo no; hostname evil || echo no; "
           "umount /proc || echo no; mount -o remount,rw / || echo no",
           "{user_namespace: true, landlock: false, capabilities: [sys_admin]}"));
  EXPECT_EQ(run.run().state(), TaskState::kSuccess);
  EXPECT_EQ(run.output("p"), "CapEff:\t0000000000200000\nno\nno\nno\nno\n");
}

}  // namespace
}  // namespace dewar
