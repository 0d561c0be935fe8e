// What does not die, and who must not: processes stuck in the kernel, and strangers with a number that was ours.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "isolation/cgroup/cgroup.h"
#include "tests/scenario/task_run.h"
#include "tests/support/own_mounts.h"
#include "thermos/events.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

std::string events_of(const TaskRun& task) {
  std::string all;
  for (const EventRecord& event : read_events(task.spec().run_folder)) all += event.kind + ": " + event.words + "\n";
  return all;
}

bool eventually(const std::function<bool()>& condition) {
  const Time deadline = SystemClock().now() + std::chrono::seconds(90);
  while (!condition()) {
    if (SystemClock().now() > deadline) return false;
    ::poll(nullptr, 0, 20);
  }
  return true;
}

/// A file system whose server takes every question for a name and never answers: whoever asks is stuck, deaf to
/// SIGKILL, until thaw().
class FrozenFuse {
 public:
  explicit FrozenFuse(std::string folder) : folder_(std::move(folder)) {
    const UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!device || !make_dirs(folder_)) return;
    const std::string options =
        "fd=" + std::to_string(device.get()) + ",rootmode=40755,user_id=0,group_id=0,allow_other";
    mounted_ = ::mount("frozen", folder_.c_str(), "fuse", 0, options.c_str()) == 0;
    if (!mounted_) return;
    server_ = ::fork();
    if (server_ == 0) serve(device.get());
  }
  FrozenFuse(const FrozenFuse&) = delete;
  FrozenFuse& operator=(const FrozenFuse&) = delete;
  ~FrozenFuse() {
    thaw();
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }

  bool works() const { return mounted_ && server_ > 0; }
  /// The server ends, and with it every question.
  void thaw() {
    if (server_ <= 0) return;
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
    server_ = -1;
  }

 private:
  template <class Body>
  static void answer(int device, const fuse_in_header& question, const Body& body) {
    char reply[sizeof(fuse_out_header) + sizeof body];
    fuse_out_header header{};
    header.len = sizeof reply;
    header.unique = question.unique;
    std::memcpy(reply, &header, sizeof header);
    std::memcpy(reply + sizeof header, &body, sizeof body);
    (void)!::write(device, reply, sizeof reply);
  }

  [[noreturn]] static void serve(int device) {
    alignas(fuse_in_header) static char question[1 << 17];
    for (;;) {
      if (::read(device, question, sizeof question) < 0) ::_exit(0);
      fuse_in_header header{};
      std::memcpy(&header, question, sizeof header);
      if (header.opcode == FUSE_INIT) {
        fuse_init_out hello{};
        hello.major = FUSE_KERNEL_VERSION;
        hello.minor = FUSE_KERNEL_MINOR_VERSION;
        hello.max_write = 4096;
        answer(device, header, hello);
      } else if (header.opcode == FUSE_GETATTR) {
        fuse_attr_out root{};
        root.attr_valid = 1000;
        root.attr.ino = FUSE_ROOT_ID;
        root.attr.mode = S_IFDIR | 0755;
        root.attr.nlink = 2;
        answer(device, header, root);
      } else if (header.opcode != FUSE_LOOKUP && header.opcode != FUSE_FORGET && header.opcode != FUSE_INTERRUPT) {
        fuse_out_header no{};
        no.len = sizeof no;
        no.error = -ENOSYS;
        no.unique = header.unique;
        (void)!::write(device, &no, sizeof no);
      }
    }
  }

  std::string folder_;
  bool mounted_ = false;
  pid_t server_ = -1;
};

// covers: F18, F19
TEST(Stuck, AProcessInTheKernelDoesNotHoldItsTaskAndIsToldAndFreedLater) {
  take_own_mounts();
  const TempFolder folder;
  FrozenFuse fuse(folder / "frozen");
  if (!fuse.works()) GTEST_SKIP() << "this kernel mounts no FUSE";
  TaskRun task("name: t\nsandbox: {binds: [" + (folder / "frozen") + "]}\n" +
               "processes: [{name: p, cmdline: 'touch asking; exec stat " + (folder / "frozen/name") + "'}]\n");
  task.start();
  task.wait_file("asking");
  const auto group = Cgroup::find(task.spec().cgroups, task.spec().container_id);
  ASSERT_TRUE(group);
  ASSERT_TRUE(eventually([&] {
    for (const pid_t pid : *members(group->sweep_folder())) {
      const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat");
      const auto where = read_file("/proc/" + std::to_string(pid) + "/wchan");
      if (stat && where && stat->find("(stat)") != std::string::npos &&
          where->find("request_wait") != std::string::npos)
        return true;
    }
    return false;
  })) << "it asks the frozen file system";

  ASSERT_TRUE(task.client().kill(Duration{0}));
  const TaskHistory end = task.wait_end();
  EXPECT_EQ(end.state(), TaskState::kKilled);
  EXPECT_THAT(events_of(task), HasSubstr("sandbox: the sandbox could not be removed: stat (pid "));
  EXPECT_THAT(events_of(task), HasSubstr("state D)"));
  EXPECT_THAT(events_of(task), HasSubstr("state D) in request_wait")) << "its wchan";
  if (exists("/proc/self/stack")) {
    EXPECT_THAT(events_of(task), HasSubstr(" < fuse_lookup")) << "and how it came there";
  }
  EXPECT_THAT(events_of(task), HasSubstr("cannot be killed"));
  EXPECT_TRUE(exists(group->sweep_folder())) << "parked, not forgotten";

  fuse.thaw();
  EXPECT_TRUE(eventually([&] { return !exists(group->sweep_folder()); })) << "freed when it dies";
}

/// The next process of this PID namespace gets the number after this one (proc(5), ns_last_pid).
bool set_last_pid(pid_t pid) {
  const std::string file = "/proc/sys/kernel/ns_last_pid";
  const auto fd = open_file(file, O_WRONLY);
  return fd && write_all(fd->get(), std::to_string(pid), file);
}

/// A child of ours with just this pid, or -1 if somebody else was quicker.
pid_t start_stranger(pid_t wanted) {
  for (int tries = 0; tries < 200; ++tries) {
    if (!set_last_pid(wanted - 1)) return -1;
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (;;) ::pause();
    }
    if (pid == wanted) return pid;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  return -1;
}

// covers: F17
TEST(Stuck, AStrangerWithTheNumberOfOurLauncherIsNotTouched) {
  TaskRun task("name: t\nmax_failures: 1\nprocesses: [{name: p, cmdline: 'sleep 600'}]\n");
  task.start();
  const TaskHistory history = task.wait_running("p");
  const pid_t launcher = *history.processes.at("p").back().coordinator_pid;
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  EXPECT_EQ(task.wait_exit(), -SIGKILL);
  ASSERT_EQ(::kill(launcher, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] { return !exists("/proc/" + std::to_string(launcher)); }));
  const pid_t stranger = start_stranger(launcher);
  if (stranger < 0) GTEST_SKIP() << "the number could not be had again";

  task.start();
  EXPECT_EQ(runs_of(task.wait_running("p", 1), "p"), "LOST RUNNING") << "its run is lost, and another begun";
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();
  EXPECT_EQ(::waitpid(stranger, nullptr, WNOHANG), 0) << "it lives";
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
}

// covers: F13
TEST(Stuck, OurOwnProgramsAskToBeSparedAndTasksAreNot) {
  TaskRun task("name: t\nprocesses: [{name: p, cmdline: 'cat /proc/self/oom_score_adj; exec sleep 600'}]\n");
  task.start();
  const TaskHistory history = task.wait_running("p");
  const auto score = [](pid_t pid) { return *read_file("/proc/" + std::to_string(pid) + "/oom_score_adj"); };
  const bool spared = score(task.runner_pid()) == "-999\n";
  EXPECT_NE(spared, task.runner_log().find("not spared when the host runs out of memory") != std::string::npos);
  EXPECT_EQ(score(*history.processes.at("p").back().coordinator_pid), score(task.runner_pid()));
  EXPECT_GE(std::stoi(score(*history.processes.at("p").back().pid)), 0);
  const CgroupLayout& layout = task.spec().cgroups;
  if (spared && std::ranges::find(layout.v2, "memory") != layout.v2.end()) {
    EXPECT_EQ(*read_file(layout.unified + "/supervisors/memory.min"), "67108864\n");
  }
  ASSERT_TRUE(task.client().kill(Duration{0}));
  task.wait_end();
}

}  // namespace
}  // namespace dewar
