// Processes that fetch, in whole tasks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "tests/cli/dewar_command.h"
#include "tests/fetcher/fetch_fixture.h"
#include "tests/scenario/task_run.h"
#include "thermos/explain/explain.h"
#include "thermos/explain/gather.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FetchScenario : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make sandboxes";
    ASSERT_TRUE(replace_file(folder_ / "fetch.conf",
                             "cache_folder " + (folder_ / "cache") + "\nbackoff 10ms\nallow 127.0.0.1\n", 0600));
    ::setenv("DEWAR_FETCH_CONFIG", (folder_ / "fetch.conf").c_str(), 1);
  }
  void TearDown() override { ::unsetenv("DEWAR_FETCH_CONFIG"); }
  static std::string reason(const TaskHistory& history, const std::string& process) {
    const auto runs = history.processes.find(process);
    return runs == history.processes.end() || runs->second.empty() ? "" : runs->second.back().reason;
  }
  TempFolder folder_;
  OddServer server_;
};

TEST_F(FetchScenario, AProcessFetchesAndTheNextOneFindsIt) {
  TaskRun task("artifacts: " + server_.uri("ok/first") + "\nprocesses:\n  - name: get\n    fetch: {uri: '" +
               server_.uri("ok/a") + "', output_file: bin/tool, executable: true}\n" +
               "  - name: use\n    cmdline: test -x bin/tool && stat -c '%U %s' first bin/tool\norder: [get, use]\n"
               "sandbox: {network: none}\n");
  const TaskHistory history = task.run();
  EXPECT_EQ(states_of(history), "ACTIVE CLEANING FINALIZING SUCCESS") << task.output("get", 0, "stderr");
  EXPECT_EQ(task.output("use"), "nobody 300000\nnobody 300000\n");
  EXPECT_THAT(task.output("get"), HasSubstr("ok/a: 293.0 KB in "));
  ASSERT_EQ(history.events.size(), 2u);
  EXPECT_EQ(history.events[1].kind, "fetch");
  EXPECT_EQ(history.events[1].words, "1 artifact, 293.0 KB");
  EXPECT_GT(history.processes.at("get").back().usage.memory_peak_bytes, 0);  // it ran in its own group
}

// covers: cause fetch
TEST_F(FetchScenario, AFailureIsARunThatFailedWithItsWords) {
  TaskRun task("processes: [{name: fetchService, max_failures: 2, min_duration: 0.01, fetch: '" +
               server_.uri("404/svc.tgz") + "'}]\n");
  const TaskHistory history = task.run();
  EXPECT_EQ(runs_of(history, "fetchService"), "FAILED FAILED");
  EXPECT_THAT(
      reason(history, "fetchService"),
      HasSubstr(server_.uri("404/svc.tgz") + ": HTTP 404 from 127.0.0.1 after 3 tries (last body: \"no such key"));
  EXPECT_THAT(task.output("fetchService", 0, "stderr"), HasSubstr("fetchService: http://"));
  const auto evidence = gather_evidence(task.spec().run_folder);
  ASSERT_TRUE(evidence) << evidence.error().message();
  const Explanation told = explain_process(*evidence, "fetchService", {});
  EXPECT_EQ(told.cause, Cause::kFetch);
  EXPECT_THAT(told.sentence, HasSubstr("task/fetchService#1 FAILED: http://"));
  EXPECT_THAT(explain_task(*evidence).sentence, HasSubstr("task FAILED: fetchService failed 2 of 2 times: http://"));
  // The same words in a terminal, and of a bundle.
  const auto says = [](const std::vector<std::string>& arguments) {
    DewarCommand command(arguments, DewarCommand::Output::kPipe);
    EXPECT_EQ(command.wait(), 0) << command.err();
    return command.out();
  };
  const std::string run = task.spec().run_folder, bundle = folder_ / "task.tar.zst";
  const std::string live = says({"explain", run + "/fetchService"});
  EXPECT_THAT(live, HasSubstr("last answer  "));
  EXPECT_THAT(live, HasSubstr("HTTP 404 from"));
  says({"bundle", run, "-o", bundle, "--no-doctor"});
  EXPECT_EQ(says({"explain", bundle + "/fetchService"}), live);
  EXPECT_EQ(says({"explain", bundle}), says({"explain", run}));
}

// Killed like any other process: with all of its parts, and nothing of it left in the sandbox.
TEST_F(FetchScenario, AKilledTaskLeavesNoHalfOfAFile) {
  TaskRun task("processes: [{name: get, fetch: '" + server_.uri("drip/a") + "'}]\n");
  task.start();
  task.wait(
      [](const TaskHistory& history) {
        const auto runs = history.processes.find("get");
        return runs != history.processes.end() && !runs->second.empty() && !runs->second[0].progress.empty();
      },
      "its progress");
  ASSERT_TRUE(task.client().kill());
  const TaskHistory history = task.wait_end();
  EXPECT_EQ(history.state(), TaskState::kKilled);
  EXPECT_EQ(*list_dir(task.sandbox()), std::vector<std::string>{".logs"});
}

// covers: F39
TEST_F(FetchScenario, AFetchOutlivesItsRunner) {
  TaskRun task("processes: [{name: get, fetch: '" + server_.uri("stall/1/a") +
               "'}, {name: use, cmdline: 'stat -c %s a'}]\n" + "order: [get, use]\n");
  ASSERT_TRUE(
      replace_file(folder_ / "fetch.conf", "cache_size 0\nbackoff 10ms\nstall_timeout 2s\nallow 127.0.0.1\n", 0600));
  task.start();
  task.wait_running("get");
  ASSERT_EQ(::kill(task.runner_pid(), SIGKILL), 0);
  EXPECT_EQ(task.wait_exit(), -SIGKILL);
  task.start();
  const TaskHistory history = task.wait_end();
  EXPECT_EQ(runs_of(history, "get"), "SUCCESS") << task.output("get", 0, "stderr");
  EXPECT_EQ(task.output("use"), "300000\n");
}

// The processes of a task do not see the fetcher, which has the host's namespaces and for a while a secret.
TEST_F(FetchScenario, OtherProcessesOfTheTaskCannotSeeTheFetcher) {
  TaskRun task("processes:\n  - name: get\n    fetch: '" + server_.uri("drip/a") +
               "'\n    ephemeral: true\n"
               "  - name: look\n    cmdline: while ! test -e go; do sleep 0.01; done; cat /proc/[0-9]*/comm; "
               "ls -la . | grep -c dewar\n");
  task.start();
  task.wait_running("get");
  task.wait_running("look");
  ASSERT_TRUE(replace_file(task.sandbox() + "/go", ""));
  task.wait_end();
  EXPECT_THAT(task.output("look"), Not(HasSubstr("dewar-fetch")));
  EXPECT_THAT(task.output("look"), HasSubstr("bash"));
}

/// What everybody may see of all processes, and the environments, which their users may.
std::string all_processes() {
  std::string text;
  for (const std::string& pid : *list_dir("/proc")) {
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const char* what : {"/cmdline", "/environ", "/comm"}) {
      const auto part = read_file("/proc/" + pid + what);
      if (part) text += *part + "\n";
    }
  }
  return text;
}

/// Every file below a folder with its name and content.
std::map<std::string, std::string> files_below(const std::string& folder) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.is_symlink()) continue;
    const auto bytes = read_file(entry.path(), 1u << 26);
    files[entry.path()] = entry.path().string() + (bytes ? *bytes : "");
  }
  return files;
}

// covers: S20
TEST_F(FetchScenario, SecretsAreInNoOutput) {
  ASSERT_TRUE(make_dirs(folder_ / "credentials", 0700));
  ASSERT_TRUE(replace_file(folder_ / "credentials/store",
                           "host 127.0.0.1\nheader Authorization: Bearer canary-of-a-file\nplain yes\n", 0600));
  ASSERT_TRUE(replace_file(folder_ / "fetch.conf",
                           "cache_folder " + (folder_ / "cache") + "\ncredentials " + (folder_ / "credentials") +
                               "\nbackoff 10ms\nstall_timeout 3s\ntries 2\n",
                           0600));
  const auto secret_uri = [&](const std::string& path) {
    return "http://me:canary-password@" + server_.host() + "/" + path + "?key=canary-query";
  };
  const std::string more = "', credential: store, headers: {X-Token: canary-header}";
  ASSERT_TRUE(
      replace_file(folder_ / "task.yaml", "processes:\n- name: get\n  fetch: {uri: '" + secret_uri("stall/1/a") + more +
                                              ", cache: true}\n"
                                              "- name: refused\n  max_failures: 1\n  fetch: {uri: '" +
                                              secret_uri("404/b") + more +
                                              "}\n"
                                              "- {name: gate, cmdline: 'until [ -e go ]; do sleep 0.01; done'}\n"
                                              "constraints: [{order: [gate, refused]}]\n"
                                              "sandbox: {network: host}\n"));
  const std::string work = folder_ / "work";
  DewarCommand run({"run", folder_ / "task.yaml", "-o", "jsonl", "--work-dir", work, "--task-id", "secrets"},
                   DewarCommand::Output::kPipe, {"DEWAR_FETCH_CONFIG=" + (folder_ / "fetch.conf")});
  std::string asked;
  while (asked.find("GET /stall/1/a") == std::string::npos) {
    asked.clear();
    for (const std::string& line : server_.log()) asked += line + "\n";
  }
  EXPECT_THAT(asked, HasSubstr("canary-of-a-file")) << "it was sent where it belongs";
  const std::string seen = all_processes();
  EXPECT_THAT(seen, HasSubstr("dewar-fetch"));
  // Only now may the other fail, and the task with it.
  ASSERT_TRUE(replace_file(work + "/slaves/local/frameworks/local/executors/secrets/runs/latest/sandbox/go", ""));
  EXPECT_EQ(run.wait(), 1);
  EXPECT_THAT(run.out(), HasSubstr("HTTP 404 from 127.0.0.1"));
  EXPECT_THAT(run.out(), HasSubstr("no such key"));
  for (const std::string& text : {seen, run.out(), run.err()}) EXPECT_THAT(text, Not(HasSubstr("canary")));
  std::map<std::string, std::string> files = files_below(work);
  files.merge(files_below(folder_ / "cache"));
  EXPECT_GT(files.size(), 10u);
  for (const auto& [path, text] : files) {
    // The task itself, as the runner and the fetcher are told, has its file's words, but no credential; root alone
    // reads it.
    const bool order =
        path.ends_with("runner.spec") || path.ends_with(".request") || path.find("/checkpoints/tasks/") != path.npos;
    EXPECT_EQ(text.find(order ? "canary-of-a-file" : "canary"), std::string::npos) << path;
    if (!order) continue;
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0077, 0u) << path;
  }
}

}  // namespace
}  // namespace dewar
