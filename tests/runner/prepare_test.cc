#include "thermos/prepare.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/files.h"
#include "tests/support/temp_folder.h"
#include "thermos/inotify_room.h"
#include "thermos/spec/reader.h"

namespace dewar {
namespace {

TaskSpec task(const std::string& yaml) {
  TaskReading reading = read_task(yaml);
  EXPECT_TRUE(reading.spec) << show_complaints("task.yaml", yaml, reading.complaints);
  return reading.spec ? *std::move(reading.spec) : TaskSpec{};
}

const std::string kTask = "name: web\nprocesses: [{name: p, cmdline: 'echo {{thermos.ports[http]}}'}]\n";

TEST(TaskId, OnlyPlainNamesAreTaken) {
  for (const char* good : {"a", "web-1", "x_y.z", "0"}) EXPECT_TRUE(check_task_id(good)) << good;
  for (const char* bad : {"", ".", "..", "-x", ".x", "a/b", "a b", "a\n", "ä"}) EXPECT_FALSE(check_task_id(bad)) << bad;
  EXPECT_FALSE(check_task_id(std::string(201, 'a')));
}

TEST(TaskId, TheDefaultIsTheNameAndTheTime) {
  EXPECT_EQ(default_task_id("web", 1700000000.25), "web-20231114-221320.250000");
  EXPECT_EQ(default_task_id("my web/1", 1700000000), "my-web-1-20231114-221320.000000");
  EXPECT_TRUE(check_task_id(default_task_id("", 0)));
  EXPECT_TRUE(check_task_id(default_task_id("-- ", 0)));
}

TEST(Prepare, MakesRoomForTheWatchesOfManyRunners) {
  if (!make_room_for_inotify_allowed()) GTEST_SKIP() << "this host's settings cannot be changed from here";
  constexpr char kKnob[] = "/proc/sys/fs/inotify/max_user_instances";
  const auto before = read_file(kKnob);
  ASSERT_TRUE(before);
  const auto set = [&](const std::string& text) {
    const auto knob = open_file(kKnob, O_WRONLY);
    return knob && write_all(knob->get(), text, kKnob);
  };
  ASSERT_TRUE(set("128"));
  const TempFolder work;
  EXPECT_TRUE(prepare_run(task(kTask), {work.path(), "id", "nobody", {}, false, 0}));
  const auto room = inotify_instances();
  ASSERT_TRUE(room) << room.error().message();
  EXPECT_EQ(*room, kInotifyInstances);
  EXPECT_TRUE(set(*before));
}

TEST(Prepare, MakesTheFoldersForRootAndTheTasksUser) {
  const TempFolder work;
  const auto prepared = prepare_run(task(kTask), {work.path(), "id", "nobody", {}, false, 0});
  ASSERT_TRUE(prepared) << prepared.error().message();
  EXPECT_FALSE(prepared->existed);
  const std::string run = prepared->spec.run_folder;
  struct stat info {};
  ASSERT_EQ(::stat(run.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u) << "only root passes";
  ASSERT_EQ(::stat((run + "/sandbox").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, prepared->spec.user.uid);
  EXPECT_EQ(*find_run_folder(work.path(), "id"), run);
  EXPECT_EQ(decode_runner_spec(*read_file(run + "/runner.spec"))->task_id, "id");
}

TEST(Prepare, TheSameTaskIsFoundAgainWithItsPorts) {
  const TempFolder work;
  const auto first = prepare_run(task(kTask), {work.path(), "id", "", {}, false, 0});
  ASSERT_TRUE(first) << first.error().message();
  const auto second = prepare_run(task(kTask), {work.path(), "id", "", {}, false, 0});
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_TRUE(second->existed);
  EXPECT_EQ(second->spec.run_folder, first->spec.run_folder);
  EXPECT_EQ(second->spec.ports, first->spec.ports);
}

TEST(Prepare, AChangedTaskUserSandboxOrPortUnderTheSameIdIsRefused) {
  const TempFolder work;
  ASSERT_TRUE(prepare_run(task(kTask), {work.path(), "id", "", {}, false, 0}));
  const auto expect_refused = [&](const std::string& yaml, const RunRequest& request) {
    const auto again = prepare_run(task(yaml), request);
    ASSERT_FALSE(again) << yaml;
    EXPECT_EQ(again.error().code, std::errc::file_exists);
    EXPECT_NE(again.error().message().find("task 'id'"), std::string::npos);
  };
  expect_refused("name: web\nprocesses: [{name: p, cmdline: 'echo {{thermos.ports[http]}} more'}]\n",
                 {work.path(), "id", "", {}, false, 0});
  expect_refused(kTask + "sandbox: {pids: 7}\n", {work.path(), "id", "", {}, false, 0});
  expect_refused(kTask, {work.path(), "id", "root", {}, false, 0});
  expect_refused(kTask, {work.path(), "id", "", {{"http", 1}}, false, 0});
}

TEST(Prepare, PortsAreAllottedFreeAndDifferent) {
  const TempFolder work;
  const auto prepared = prepare_run(task("name: web\nports: [a, b, c]\nprocesses: [{name: p, cmdline: 'true'}]\n"),
                                    {work.path(), "id", "", {{"b", 31500}}, false, 0});
  ASSERT_TRUE(prepared) << prepared.error().message();
  const auto& ports = prepared->spec.ports;
  ASSERT_EQ(ports.size(), 3u);
  EXPECT_EQ(ports.at("b"), 31500);
  EXPECT_NE(ports.at("a"), ports.at("c"));
  for (const char* name : {"a", "c"}) {
    EXPECT_GE(ports.at(name), 31000);
    EXPECT_LT(ports.at(name), 32000);
  }
}

TEST(Prepare, AWrongRequestIsRefusedInWords) {
  const TempFolder work;
  const auto words = [&](const RunRequest& request) {
    const auto prepared = prepare_run(task(kTask), request);
    EXPECT_FALSE(prepared);
    return prepared ? "" : prepared.error().message();
  };
  EXPECT_EQ(words({work.path(), "id", "no-such-user", {}, false, 0}), "there is no user 'no-such-user' on this host");
  EXPECT_EQ(words({work.path(), "id", "", {{"ftp", 21}}, false, 0}), "the task has no port 'ftp'");
  EXPECT_EQ(words({work.path(), "id", "", {{"http", 70000}}, false, 0}), "port 'http': 70000 is not in 1-65535");
  EXPECT_NE(words({work.path(), "../id", "", {}, false, 0}).find("is not a task id"), std::string::npos);
  EXPECT_FALSE(find_run_folder(work.path(), "id")) << "nothing was made";
  const auto bound =
      prepare_run(task("processes: [{name: p, cmdline: x}]\nsandbox: {binds: ['/etc:/usr/no-such-place']}\n"),
                  {work.path(), "id", "", {}, false, 0});
  ASSERT_FALSE(bound);
  EXPECT_EQ(
      bound.error().message(),
      "nothing can be mounted at /usr/no-such-place: /usr is shown read-only, and there is no /usr/no-such-place on "
      "the host to lie over (make one there, or choose another target)");
  EXPECT_FALSE(find_run_folder(work.path(), "id")) << "nothing was made";
}

}  // namespace
}  // namespace dewar
