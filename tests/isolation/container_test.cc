// The life of a container: made, found again, swept, and never half left behind.
#include "isolation/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include "base/cgroup_members.h"
#include "base/files.h"
#include "tests/isolation/kernel_fixture.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ContainerTest, HasAPidOneInALeafOfItsOwnAndItsLimits) {
  spec().sandbox.limits.cpu = 0.5;
  spec().sandbox.limits.memory = 64u << 20;
  spec().sandbox.limits.pids = 50;
  const Container container = make();
  EXPECT_FALSE(has_ended(container.init()));
  EXPECT_THAT(container.cgroup().leaves(), ElementsAre("init"));
  EXPECT_THAT(*members(container.cgroup().find_leaf("init")->sweep_folder()), ElementsAre(container.init_id().pid));
  const auto limits = container.cgroup().limits();
  EXPECT_EQ(limits->cpu, 0.5);
  EXPECT_EQ(limits->memory, 64u << 20);
  EXPECT_EQ(limits->pids, 50u);
}

TEST_F(ContainerTest, TheDeathOfPidOneIsSeenAndEndsEverything) {
  const Container container = make();
  auto leaf = container.cgroup().create_leaf("a");
  ASSERT_TRUE(send_signal(container.init(), SIGKILL));
  pollfd watched{container.init().get(), POLLIN, 0};
  EXPECT_EQ(::poll(&watched, 1, 30000), 1);
  EXPECT_TRUE(has_ended(container.init()));
  EXPECT_EQ(Container::adopt(spec()).error().code, std::errc::no_such_process);
}

TEST_F(ContainerTest, PidOneOutlivesATaskThatRanOutOfMemory) {
  ASSERT_TRUE(replace_file(folder("sandbox/testcase"), *read_file(DEWAR_BIN "/testcase"), 0755));
  spec().sandbox.limits.memory = 64u << 20;
  const Container container = make();
  EXPECT_EQ(run(container, "exec ./testcase touch 268435456").code, -SIGKILL);
  EXPECT_FALSE(has_ended(container.init()));
  EXPECT_EQ(run(container, "echo finalizing").output, "finalizing\n");
}

TEST_F(ContainerTest, IsFoundAgainAfterTheDeathOfItsMaker) {
  const pid_t maker = fork_child([&] { return Container::create(spec()) ? 0 : 1; });
  ASSERT_EQ(wait_for(maker), 0);
  const auto adopted = Container::adopt(spec());
  ASSERT_TRUE(adopted) << adopted.error().message();
  EXPECT_FALSE(has_ended(adopted->init()));
  EXPECT_EQ(*identify(adopted->init_id().pid), adopted->init_id());
  EXPECT_EQ(run(*adopted, "echo $$ $PPID").code, 0);
}

TEST_F(ContainerTest, AdoptTellsAMissingContainerFromADeadOne) {
  EXPECT_EQ(Container::adopt(spec()).error().code, std::errc::no_such_file_or_directory);
  const auto group = Cgroup::create(spec().cgroups, spec().id);
  EXPECT_EQ(Container::adopt(spec()).error().code, std::errc::no_such_process);
}

TEST_F(ContainerTest, OneWhoseMakerDiedBeforeItWasReadyIsNotAdopted) {
  spec().launcher = "/usr/bin/yes";  // a PID 1 that never comes to its end
  const auto half = Container::begin(spec());
  ASSERT_TRUE(half) << half.error().message();
  EXPECT_EQ(Container::adopt(spec()).error().code, std::errc::operation_canceled);
  EXPECT_FALSE(has_ended(half->init()));
  EXPECT_TRUE(Container::sweep(spec(), 30000));
  EXPECT_TRUE(has_ended(half->init()));
}

TEST_F(ContainerTest, SweepLeavesNothingAndMayBeRepeated) {
  const Container container = make();
  ASSERT_TRUE(container.cgroup().create_leaf("web.0"));
  ASSERT_TRUE(Container::sweep(spec(), 30000));
  EXPECT_TRUE(has_ended(container.init()));
  EXPECT_EQ(Cgroup::find(spec().cgroups, spec().id).error().code, std::errc::no_such_file_or_directory);
  EXPECT_FALSE(exists(spec().root_folder));
  EXPECT_TRUE(Container::sweep(spec(), 30000));
}

TEST_F(ContainerTest, AFailedStepNamesItselfAndLeavesNothing) {
  spec().sandbox.binds = {{folder("no-such-folder"), "/data"}};
  const auto refused = Container::create(spec());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("step mount"));
  EXPECT_THAT(refused.error().message(), HasSubstr(folder("no-such-folder")));
  EXPECT_FALSE(exists(spec().root_folder));
  EXPECT_EQ(Cgroup::find(spec().cgroups, spec().id).error().code, std::errc::no_such_file_or_directory);
}

TEST_F(ContainerTest, ALimitThatTheKernelRefusesLeavesNothing) {
  spec().sandbox.limits.cpu_quota = 1e12;
  const auto refused = Container::create(spec());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("step limits: limiting cpu"));
  EXPECT_EQ(Cgroup::find(spec().cgroups, spec().id).error().code, std::errc::no_such_file_or_directory);
}

TEST_F(ContainerTest, AMissingLauncherLeavesNothing) {
  spec().launcher = folder("dewar-launch");
  const auto refused = Container::create(spec());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("step launch"));
  EXPECT_EQ(Cgroup::find(spec().cgroups, spec().id).error().code, std::errc::no_such_file_or_directory);
}

TEST_F(ContainerTest, ALauncherThatSaysNothingLeavesNothing) {
  spec().launcher = "/bin/true";
  const auto refused = Container::create(spec());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("without a word"));
  EXPECT_FALSE(exists(spec().root_folder));
}

TEST_F(ContainerTest, ASecondOneOfTheSameNameIsRefusedAndTheFirstLives) {
  const Container container = make();
  const auto second = Container::create(spec());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::file_exists);
  EXPECT_FALSE(has_ended(container.init()));
  EXPECT_TRUE(exists(spec().root_folder));
}

TEST_F(ContainerTest, PidOneReapsOrphans) {
  const Container container = make();
  const Ended ended = run(container,
                          "for i in 1 2 3; do (true & exec true); done\n"
                          "for n in $(seq 200); do z=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); "
                          "[ $z = 0 ] && echo none && break; done");
  EXPECT_EQ(ended.output, "none\n");
}

TEST_F(ContainerTest, ManyBindsFitThroughTheRecipesPipe) {
  for (int i = 0; i < 600; ++i)
    spec().sandbox.binds.push_back({"/etc/hostname", "/data/" + std::string(150, 'x') + std::to_string(i)});
  const Container container = make();
  EXPECT_EQ(run(container, "ls /data | wc -l").output, "600\n");
}

}  // namespace
}  // namespace dewar
