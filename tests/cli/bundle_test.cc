// dewar explain and dewar bundle as they are typed: a task is run, told, bundled, its work dir removed, and told again.
#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/files.h"
#include "tests/cli/dewar_command.h"
#include "tests/logs/fake_pump.h"
#include "tests/support/tar.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Said {
  int code;
  std::string out, err;
};
Said dewar_says(const std::vector<std::string>& arguments, const std::vector<std::string>& env = {}) {
  DewarCommand command(arguments, DewarCommand::Output::kPipe, env);
  const int code = command.wait();
  return {code, command.out(), command.err()};
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

class BundleTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make sandboxes";
  }
  /// Runs a task file in a work dir of its own.
  int run(const std::string& yaml) {
    EXPECT_TRUE(replace_file(folder_ / "task.yaml", yaml));
    return dewar_says({"run", folder_ / "task.yaml", "--work-dir", work_, "--task-id", "try"}).code;
  }
  Said told(const std::string& what, const std::string& from, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{what, from};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return dewar_says(arguments, {"DEWAR_WORK_DIR=" + work_, "TMPDIR=" + folder_.path()});
  }

  TempFolder folder_;
  std::string work_ = folder_ / "work", file_ = folder_ / "try.tar.zst";
};

constexpr const char* kTask = R"yaml(
name: t
max_failures: 0
sandbox:
  environment: {DB_PASSWORD: canary-pass-1, PIN_KEY: x7q, MARKED: canary-marked-2, HOMEPAGE: "http://u:canary-user-3@h/"}
  secrets: [MARKED]
processes:
  - {name: fetch, cmdline: 'echo "one of fetch"; frobnicate --all', max_failures: 2, min_duration: 0}
  - {name: leak, cmdline: 'echo "password $DB_PASSWORD and $MARKED, $HOMEPAGE"; echo >&2 "$DB_PASSWORD"; exit 3'}
  - {name: serve, cmdline: 'true'}
order: [fetch, serve]
)yaml";

TEST_F(BundleTest, ExplainsTheTaskAProcessAndARun) {
  EXPECT_EQ(run(kTask), 1);
  const Said task = told("explain", "try");
  EXPECT_EQ(task.code, 0) << task.err;
  EXPECT_THAT(task.out, StartsWith("try FAILED: fetch failed 2 of 2 times: exit status 127: command not found: "
                                   "frobnicate; leak failed: exit status 3"));
  EXPECT_EQ(first_line(told("explain", "try/fetch#0").out),
            "try/fetch#0 FAILED: exit status 127: command not found: frobnicate");
  EXPECT_EQ(first_line(told("explain", "t/ser").out),
            "try/serve was not started: fetch failed 2 of 2 times: exit status 127: command not found: frobnicate");
  const json told_json = json::parse(told("explain", "try/leak", {"-o", "json"}).out);
  EXPECT_EQ(told_json["cause"], "exit");
  EXPECT_EQ(told_json["sentence"], "try/leak#0 FAILED: exit status 3");
  EXPECT_EQ(told("explain", "nobody").code, 3);
  EXPECT_EQ(told("explain", "try/nobody").code, 3);
  EXPECT_EQ(told("explain", "try", {"-o", "xml"}).code, 2);
}

TEST_F(BundleTest, TellsTheSameWhenTheWorkDirIsGone) {
  EXPECT_EQ(run(kTask), 1);
  std::map<std::string, std::string> sentences;
  for (const char* name : {"", "/fetch", "/fetch#0", "/leak", "/serve"})
    sentences[name] = told("explain", std::string("try") + name).out;
  const Said logs = told("logs", "try/fetch", {"--all-runs"});
  EXPECT_THAT(logs.out, HasSubstr("one of fetch"));
  const Said made = told("bundle", "try", {"-o", file_, "--no-doctor"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(made.out, file_ + "\n");
  struct stat info {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_TRUE(remove_tree(work_));
  for (const auto& [name, before] : sentences) {
    const Said after = told("explain", file_ + name);
    EXPECT_EQ(after.code, 0) << after.err;
    EXPECT_EQ(first_line(after.out), first_line(before)) << name;
    if (name != "/leak" && !name.empty()) {
      EXPECT_EQ(after.out, before) << name;
    }
  }
  EXPECT_EQ(told("logs", file_ + "/fetch", {"--all-runs"}).out, logs.out) << "the same lines";
  EXPECT_THAT(told("explain", file_ + "/leak").out, HasSubstr("\n  ***\n")) << "its last line was a secret";
  EXPECT_EQ(told("bundle", file_, {"-o", file_}).code, 7) << "a file that is there is not replaced";
  const auto left = list_dir(folder_.path());
  ASSERT_TRUE(left);
  for (const std::string& name : *left) EXPECT_THAT(name, Not(StartsWith("dewar-bundle-"))) << "unpacked and left";
}

/// All that a bundle holds: names and bytes.
std::map<std::string, std::string> unpacked(const std::string& path) {
  std::map<std::string, std::string> files;
  archive* reader = ::archive_read_new();
  ::archive_read_support_filter_zstd(reader);
  ::archive_read_support_format_tar(reader);
  EXPECT_EQ(::archive_read_open_filename(reader, path.c_str(), 1 << 16), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (::archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    std::string& bytes = files[::archive_entry_pathname(entry)];
    char block[1 << 16];
    for (la_ssize_t n; (n = ::archive_read_data(reader, block, sizeof block)) > 0;)
      bytes.append(block, static_cast<std::size_t>(n));
  }
  ::archive_read_free(reader);
  return files;
}

// covers: S33
TEST_F(BundleTest, NoSecretIsInAnyFileOfIt) {
  EXPECT_EQ(run(kTask), 1);
  ASSERT_EQ(told("bundle", "try", {"-o", file_}).code, 0);
  const auto files = unpacked(file_);
  for (const auto& [name, bytes] : files) EXPECT_THAT(bytes, Not(HasSubstr("canary"))) << name;
  for (const char* name : {"runner.spec", "checkpoints/tasks/finished/try", "bundle/task.json"})
    EXPECT_THAT(files.at(std::string("try/") + name), Not(HasSubstr("x7q")))
        << name << ": short, but given as a secret";
  for (const char* name :
       {"runner.spec", "events", "limits", "runner.log", "attempts/fetch.1", "checkpoints/checkpoints/try/runner",
        ".logs/leak/0/stdout", "bundle/moment", "bundle/explain.json", "bundle/report.json", "bundle/doctor.json",
        "bundle/kernel.log", "bundle/manifest.json"})
    EXPECT_TRUE(files.contains(std::string("try/") + name)) << name;
  EXPECT_EQ(files.at("try/.logs/leak/0/stdout"), "password *** and ***, http://u:***@h/\n");
  const json manifest = json::parse(files.at("try/bundle/manifest.json"));
  EXPECT_EQ(manifest["format"], "dewar bundle");
  EXPECT_EQ(manifest["files"].size() + 1, files.size());
}

// Whoever unpacks it by hand needs no Dewar to see what the task was, and in which order it ran.
TEST_F(BundleTest, TheTaskAndItsPlanCanBeReadInIt) {
  EXPECT_EQ(run(kTask), 1);
  ASSERT_EQ(told("bundle", "try", {"-o", file_, "--no-doctor"}).code, 0);
  const auto files = unpacked(file_);
  ASSERT_TRUE(files.contains("try/bundle/plan.txt") && files.contains("try/bundle/task.json"));
  EXPECT_EQ(files.at("try/bundle/plan.txt"), dewar_says({"plan", folder_ / "task.yaml"}, {"LC_ALL=C.UTF-8"}).out);
  const json task = json::parse(files.at("try/bundle/task.json"));
  EXPECT_EQ(task["processes"][0]["cmdline"], "echo \"one of fetch\"; frobnicate --all");
  EXPECT_EQ(task["processes"][2]["min_duration"], 5) << "defaults too";
  EXPECT_EQ(task["sandbox"]["environment"],
            (json{{"DB_PASSWORD", "***"}, {"HOMEPAGE", "http://u:***@h/"}, {"MARKED", "***"}, {"PIN_KEY", "***"}}));
  ASSERT_TRUE(replace_file(folder_ / "again.json", files.at("try/bundle/task.json")));
  const Said again = dewar_says({"plan", folder_ / "again.json"}, {"LC_ALL=C.UTF-8"});
  EXPECT_EQ(again.out, files.at("try/bundle/plan.txt")) << again.err;
}

// What a health check has said, and how the task stands, without the secrets in it.
TEST_F(BundleTest, HasTheHealthOfATaskWithoutSecrets) {
  EXPECT_EQ(run(R"yaml(
name: t
sandbox: {environment: {DB_PASSWORD: canary-pass-1}}
processes: [{name: p, cmdline: 'while [ ! -e again ]; do sleep 0.05; done'}]
health_check_config:
  health_checker: {shell: {shell_command: 'echo "for $DB_PASSWORD http://u:canary-user-3@h/"; [ ! -e asked ] || touch again; touch asked; exit 1'}}
  initial_interval_secs: 600
  interval_secs: 0.1
)yaml"),
            0);
  const Said before = told("status", "try", {"-o", "json"});
  EXPECT_THAT(before.out, HasSubstr("for canary-pass-1"));
  ASSERT_EQ(told("bundle", "try", {"-o", file_}).code, 0);
  const auto files = unpacked(file_);
  ASSERT_TRUE(files.contains("try/health"));
  for (const auto& [name, bytes] : files) EXPECT_THAT(bytes, Not(HasSubstr("canary"))) << name;
  const json after = json::parse(told("status", file_, {"-o", "json"}).out)["health"];
  EXPECT_EQ(after["state"], "starting");
  EXPECT_EQ(after["last"][0]["words"], "exit status 1: for *** http://u:***@h/");
}

/// Masks are shorter or longer than what they hide: the index is about the masked text.
TEST_F(BundleTest, TimesOfLinesWithSecretsAreTheSame) {
  EXPECT_EQ(run(R"yaml(
name: t
sandbox: {environment: {DB_PASSWORD: a-long-canary-password-that-moves-what-follows}}
processes:
  - {name: p, cmdline: 'for i in 1 2 3; do echo "$i $DB_PASSWORD"; sleep 0.1; echo "err $i" >&2; sleep 0.1; done; echo end'}
)yaml"),
            0);
  const auto lines = [&](const std::string& what) {
    std::vector<std::pair<std::string, std::string>> found;  // time, text
    std::istringstream all(told("logs", what + "/p#0", {"-o", "json"}).out);
    for (std::string line; std::getline(all, line);) {
      const json item = json::parse(line);
      if (item["event"] == "line") found.emplace_back(item["time"], item["text"]);
    }
    return found;
  };
  const auto before = lines("try");
  ASSERT_EQ(before.size(), 7u);
  ASSERT_EQ(told("bundle", "try", {"-o", file_, "--no-doctor"}).code, 0);
  const auto after = lines(file_);
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].first, before[i].first) << after[i].second;
    const bool secret = before[i].second.find("canary") != std::string::npos;
    EXPECT_EQ(after[i].second, secret ? before[i].second.substr(0, 2) + "***" : before[i].second);
  }
}

TEST_F(BundleTest, OutOfMemoryIsDrawnAndStatusIsTheSameWhenTheWorkDirIsGone) {
  EXPECT_EQ(run(R"yaml(
name: t
resources: {cpu: 1, ram: 64MB, disk: 64MB}
processes:
  - {name: hog, cmdline: 'exec python3 -c "import time; x = bytearray(30 << 20); time.sleep(3); y = bytearray(256 << 20)"'}
)yaml"),
            1);
  const Said task = told("explain", "try");
  EXPECT_THAT(task.out, StartsWith("try FAILED: the memory limit of 64.0 MB was reached and the kernel killed "));
  EXPECT_THAT(task.out, testing::ContainsRegex("\n  last [0-9.]+s +[^ ]*[^ ]\n +[0-9.]+ .B to [0-9.]+ MB\n"));
  const json cards = json::parse(told("explain", "try", {"-o", "json"}).out)["cards"];
  const auto memory = std::ranges::find(cards, "Memory", [](const json& card) { return card["title"]; });
  ASSERT_NE(memory, cards.end());
  EXPECT_GE((*memory)["memory"].size(), 3u) << "a point a second";
  const auto most =
      std::ranges::max((*memory)["memory"], {}, [](const json& point) { return point["bytes"].get<long>(); });
  EXPECT_GE(most["bytes"].get<long>(), 30 << 20);

  const std::vector<std::string> whole{"-o", "json", "--history", "1m"};
  json status = json::parse(told("status", "try", whole).out);
  ASSERT_EQ(told("bundle", "try", {"-o", file_, "--no-doctor"}).code, 0);
  const std::string receipt = told("status", "try/hog#0").out;
  EXPECT_THAT(receipt, HasSubstr("  state        KILLED\n"));
  ASSERT_TRUE(remove_tree(work_));
  EXPECT_EQ(told("explain", file_).out, task.out);
  EXPECT_THAT(told("status", file_ + "/hog#0").out, HasSubstr(receipt.substr(receipt.find("  state  "))));
  EXPECT_THAT(told("status", file_).out, HasSubstr("  try in " + file_ + "\n")) << "what it was unpacked into is gone";
  const Said after = told("status", file_, whole);
  ASSERT_EQ(after.code, 0) << after.err;
  json in_bundle = json::parse(after.out);
  EXPECT_EQ(status["history"]["points"], in_bundle["history"]["points"]);
  for (const char* same : {"task_id", "state", "reason", "states", "limits", "usage", "events", "advice"})
    EXPECT_EQ(in_bundle[same], status[same]) << same;
  EXPECT_EQ(in_bundle["processes"][0]["runs"][0]["usage"], status["processes"][0]["runs"][0]["usage"]);
}

TEST_F(BundleTest, HasTheEndOfLongLogsFromALineOn) {
  EXPECT_EQ(run("name: t\nprocesses: [{name: p, cmdline: 'for i in $(seq 10000); do echo line $i; done'}]\n"), 0);
  ASSERT_EQ(told("bundle", "try", {"-o", file_, "--no-doctor", "--log-size", "1KB"}).code, 0);
  const std::string out = unpacked(file_).at("try/.logs/p/0/stdout");
  EXPECT_LE(out.size(), 1024u);
  EXPECT_THAT(out, StartsWith("line 98"));
  EXPECT_TRUE(out.ends_with("line 10000\n"));
}

TEST_F(BundleTest, TimesPlacesAndGapsOfLinesAreTheSame) {
  EXPECT_EQ(run("name: t\nprocesses: [{name: p, cmdline: 'true'}]\n"), 0);
  const std::string logs = work_ + "/slaves/local/frameworks/local/executors/try/runs/latest/.logs/p/0";
  ASSERT_TRUE(remove_tree(std::filesystem::canonical(logs)));
  {
    FakePump pump(logs);
    std::int64_t time = 1'700'000'000'000'000'000;
    for (int i = 0; i < 300; ++i) {
      time += 1'000'000'000;
      pump.write(i % 3 == 0 ? OutputStream::kStderr : OutputStream::kStdout, "line " + std::to_string(i) + "\n", time);
      if (i == 100) pump.gap(OutputStream::kStdout, 77, GapReason::kRate, time);
      if (i % 90 == 89) pump.rotate(OutputStream::kStdout, 9);
      if (i == 200) pump.compress(OutputStream::kStdout), pump.rotate_index();
    }
    pump.end(time);
  }
  const std::vector<std::string> form{"-o", "json"};
  const Said before = told("logs", "try/p#0", form);
  ASSERT_THAT(before.out, HasSubstr("\"reason\":\"rate\""));
  ASSERT_EQ(told("bundle", "try", {"-o", file_, "--no-doctor"}).code, 0);
  EXPECT_EQ(told("logs", file_ + "/p#0", form).out, before.out);
  const std::string small = folder_ / "small.tar.zst";
  ASSERT_EQ(told("bundle", "try", {"-o", small, "--no-doctor", "--log-size", "200"}).code, 0);
  const std::string after = told("logs", small + "/p#0", form).out;
  EXPECT_THAT(after, HasSubstr("line 299"));
  EXPECT_THAT(after, HasSubstr("\"reason\":\"removed\"")) << "what is not in the bundle is told as missing";
  std::istringstream lines(after);
  for (std::string line; std::getline(lines, line);) {
    const bool missing = line.find("\"reason\":\"removed\"") != std::string::npos;
    EXPECT_TRUE(missing || before.out.find(line + "\n") != std::string::npos) << line;
  }
}

TEST_F(BundleTest, WhatIsNoBundleIsRefusedInWords) {
  ASSERT_TRUE(replace_file(folder_ / "text", "this is no archive at all\n"));
  EXPECT_EQ(told("explain", folder_ / "text").code, 3);
  ASSERT_TRUE(replace_file(folder_ / "empty", ""));
  EXPECT_EQ(told("explain", folder_ / "empty").code, 3);
  ASSERT_TRUE(replace_file(folder_ / "other", tar({tar_folder("a/"), {"a/file", "x"}})));
  EXPECT_THAT(told("explain", folder_ / "other").err, HasSubstr("it is no bundle of a task"));
}

// covers: S18
TEST_F(BundleTest, AHostileOneReachesNothingOutside) {
  ASSERT_TRUE(make_dirs(folder_ / "canary"));
  const std::vector<TarEntry> manifest{
      tar_folder("try/"), tar_folder("try/bundle/"), {"try/bundle/manifest.json", "{}"}};
  const std::vector<std::vector<TarEntry>> attacks{
      {tar_symlink("try/runner.spec", "/etc/passwd")},
      {tar_symlink("try/runner.spec", "bundle/manifest.json")},
      {tar_symlink("try/.logs", folder_ / "canary"), {"try/.logs/x", "y"}},
      {tar_hard_link("try/runner.spec", "/etc/passwd")},
      {{"../../canary/x", "y"}},
      {{folder_ / "canary/x", "y"}},
      {tar_hard_link("try/limits", "try/bundle/manifest.json")},
  };
  for (const auto& attack : attacks) {
    std::vector<TarEntry> entries = manifest;
    entries.insert(entries.end(), attack.begin(), attack.end());
    ASSERT_TRUE(replace_file(folder_ / "hostile", tar(entries)));
    const Said refused = told("explain", folder_ / "hostile");
    EXPECT_EQ(refused.code, 3) << attack[0].path << refused.out;
    EXPECT_EQ(refused.out, "");
    EXPECT_THAT(*list_dir(folder_ / "canary"), testing::IsEmpty()) << attack[0].path;
  }
}

}  // namespace
}  // namespace dewar
