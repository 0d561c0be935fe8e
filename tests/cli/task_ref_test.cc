#include "agent/cli/task_ref.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "tests/support/temp_folder.h"
#include "thermos/checkpoint.h"
#include "thermos/runner_spec.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;

class TaskRefTest : public testing::Test {
 protected:
  TaskRefTest() : mine_(parent_ / "dewar-a"), other_(parent_ / "dewar-b") {
    add_task(mine_, "web-1");
    add_task(mine_, "web-2");
    add_task(other_, "batch");
    add_task(other_, "batch-2");
  }

  static std::string runs_of(const std::string& work_dir, const std::string& id) {
    return work_dir + "/slaves/local/frameworks/local/executors/" + id + "/runs";
  }

  /// With processes serve, serve2 and fetch; serve has had two runs, the first without logs; "old" has only logs.
  static void add_task(const std::string& work_dir, const std::string& id) {
    const std::string run = runs_of(work_dir, id) + "/c1";
    ASSERT_TRUE(make_dirs(run + "/.logs/serve/1"));
    ASSERT_TRUE(make_dirs(run + "/.logs/old/0"));
    ASSERT_EQ(::symlink("c1", (runs_of(work_dir, id) + "/latest").c_str()), 0);
    RunnerSpec spec;
    spec.task_id = id;
    for (const char* name : {"serve", "serve2", "fetch", "odd#7"}) {
      spec.plan.processes.emplace_back();
      spec.plan.processes.back().name = name;
    }
    ASSERT_TRUE(replace_file(run + "/runner.spec", encode_runner_spec(spec)));
    auto checkpoint = Checkpoint::open(run + "/checkpoints", id, "{}", false);
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    ProcessRecord record;
    record.process = "serve";
    for (int i = 0; i < 2; ++i) {
      for (const auto state : {ProcessState::kWaiting, ProcessState::kForked, ProcessState::kLost}) {
        record.state = state;
        ASSERT_TRUE(checkpoint->append(record));
        ++record.seq;
      }
    }
  }

  /// "task/process#run in <name of the work dir>", or the complaint.
  std::string found(const std::string& name, const std::string& work_dir = "") const {
    const auto ref = find_task({name, work_dir, parent_.path()});
    if (!ref) {
      EXPECT_EQ(not_found_code(ref.error()), ExitCode::kNotFound);
      return ref.error().message();
    }
    std::string text = ref->task_id + (ref->process.empty() ? "" : "/" + ref->process);
    if (ref->run) text += "#" + std::to_string(*ref->run);
    for (const std::string& folder : {mine_, other_})
      if (ref->run_folder == runs_of(folder, ref->task_id) + "/c1")
        text += " in " + folder.substr(parent_.path().size() + 1);
    return text;
  }

  TempFolder parent_;
  std::string mine_, other_;
};

TEST_F(TaskRefTest, AnIdIsFoundWhereverItIs) {
  EXPECT_EQ(found("web-1"), "web-1 in dewar-a");
  EXPECT_EQ(found("batch-2"), "batch-2 in dewar-b");
  EXPECT_EQ(found("web-1", mine_), "web-1 in dewar-a");
  EXPECT_EQ(found("web-1", other_), "there is no task 'web-1' in " + other_ + "; there is batch and batch-2");
}

TEST_F(TaskRefTest, ABeginningIsEnoughWhereItIsClear) {
  EXPECT_EQ(found("web-2/fe"), "web-2/fetch in dewar-a");
  EXPECT_EQ(found("batch-"), "batch-2 in dewar-b");
  EXPECT_EQ(found("batch"), "batch in dewar-b") << "a whole name wins";
  EXPECT_EQ(found("web"), "'web' may be one of several tasks: web-1 or web-2");
  EXPECT_EQ(found("web-1/s"), "'s' may be one of several processes of task 'web-1': serve or serve2");
}

TEST_F(TaskRefTest, AnUnknownNameIsToldWithWhatThereIs) {
  EXPECT_EQ(found("x"), "there is no task 'x' below " + parent_.path() +
                            " (else name --work-dir); there is batch, batch-2, web-1 and web-2");
  EXPECT_EQ(found("web-1/x"), "task 'web-1' has no process 'x'; it has serve, serve2, fetch, odd#7 and old");
  EXPECT_EQ(found("web-1/serve#2"), "process 'serve' of task 'web-1' has no run 2; its runs are 0 to 1");
  EXPECT_EQ(found("web-1/fetch#0"), "process 'fetch' of task 'web-1' has no run 0; it has not run");
  EXPECT_EQ(found("web-1/serve#one"), "'#one': behind '#' comes the number of a run, as in web/serve#0");
  EXPECT_EQ(found("web-1", parent_ / "none"),
            "look for tasks: open " + parent_ / "none" + ": No such file or directory");
  ASSERT_TRUE(make_dirs(parent_ / "empty"));
  EXPECT_EQ(found("web-1", parent_ / "empty"), "there is no task in " + parent_ / "empty");
}

TEST_F(TaskRefTest, AProcessAndItsRun) {
  EXPECT_EQ(found("web-1/serve"), "web-1/serve in dewar-a");
  EXPECT_EQ(found("web-1/serve#0"), "web-1/serve#0 in dewar-a") << "only in the records";
  EXPECT_EQ(found("web-1/serve#1"), "web-1/serve#1 in dewar-a");
  EXPECT_EQ(found("web-1/old#0"), "web-1/old#0 in dewar-a") << "only in the logs";
  EXPECT_EQ(found("web-1/odd#7"), "web-1/odd#7 in dewar-a") << "a name with a '#' in it";
  EXPECT_EQ(found("web-1/"), "web-1 in dewar-a");
}

TEST_F(TaskRefTest, ATaskInTwoWorkDirsIsNotGuessed) {
  add_task(other_, "web-1");
  EXPECT_EQ(found("web-1"), "task 'web-1' is in several work dirs; name one by --work-dir: " + mine_ + " or " + other_);
  EXPECT_EQ(found("web-1", other_), "web-1 in dewar-b");
}

TEST_F(TaskRefTest, PathsOfRunFoldersAndWorkDirs) {
  const std::string runs = runs_of(mine_, "web-1");
  EXPECT_EQ(found(runs + "/c1"), "web-1 in dewar-a");
  EXPECT_EQ(found(runs + "/latest"), "web-1 in dewar-a");
  EXPECT_EQ(found(runs + "/latest/serve#1"), "web-1/serve#1 in dewar-a");
  const std::string single = parent_ / "elsewhere";
  add_task(single, "only");
  EXPECT_EQ(found(single + "/fe"), "only/fetch");
  EXPECT_EQ(found(mine_), mine_ + " has several tasks; name one, with --work-dir " + mine_ + ": web-1 or web-2");
  EXPECT_EQ(found(parent_ / "nowhere"), parent_.path() + " is neither a run folder nor a work dir with a task");
  EXPECT_EQ(found(parent_ / "nowhere/x"),
            "look for a task: open " + parent_ / "nowhere" + ": No such file or directory");
}

TEST_F(TaskRefTest, ARelativePathWorksWhereNoTaskHasThatName) {
  const std::string before = std::filesystem::current_path();
  ASSERT_EQ(::chdir(runs_of(mine_, "web-1").c_str()), 0);
  EXPECT_EQ(found("c1"), "web-1 in dewar-a");
  EXPECT_EQ(found("./latest/old"), "web-1/old in dewar-a");
  ASSERT_EQ(::chdir(before.c_str()), 0);
}

TEST_F(TaskRefTest, ProcessesComeInTheOrderOfTheTask) {
  const auto ref = find_task({"web-1", "", parent_.path()});
  ASSERT_TRUE(ref);
  EXPECT_THAT(process_names(ref->run_folder), ElementsAre("serve", "serve2", "fetch", "odd#7", "old"));
  ASSERT_TRUE(replace_file(ref->run_folder + "/runner.spec", "of another version"));
  EXPECT_THAT(process_names(ref->run_folder), ElementsAre("old", "serve"));
}

}  // namespace
}  // namespace dewar
