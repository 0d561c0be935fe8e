// What Aurora and Thermos themselves wrote is accepted as it stands.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/spec/reading.h"
#include "thermos/spec/bind.h"

namespace dewar {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kTapes = DEWAR_SOURCE "/tests/tapes/";

std::string content(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// The JSON that Aurora's executor receives.
std::string executor_data(const std::string& name) {
  const json tape = json::parse(content(kTapes + "aurora/" + name + ".json"));
  return tape.at("assigned_task").at("task").at("executorConfig").at("data");
}

TEST(Aurora, TheWorkedExampleIsReadWhole) {
  const std::string data = executor_data("01-worked-example");
  EXPECT_THAT(complaints_of(data), IsEmpty());
  const TaskSpec task = task_of(data);
  EXPECT_EQ(task.role + "/" + task.environment + "/" + task.job + " on " + task.cluster,
            "www-data/prod/svc on devcluster");
  EXPECT_EQ(task.user, "www-data");
  EXPECT_EQ(task.name, "svc");
  ASSERT_EQ(task.processes.size(), 3u);
  EXPECT_EQ(task.processes[0].max_failures, 3u);
  EXPECT_EQ(task.processes[2].logger->log_size, 5u << 20);
  EXPECT_THAT(task.constraints, ElementsAre(Order{"fetchService", "fetchConfig", "runService"}));
  EXPECT_EQ(task.resources->cpu, 0.5);
  EXPECT_EQ(task.sandbox.limits.memory, 128u << 20);
  EXPECT_THAT(task.ports, ElementsAre("health", "http"));
  EXPECT_EQ(task.health_check->initial_interval, 15s);
  EXPECT_EQ(task.lifecycle->port, "health");
  EXPECT_EQ(task.announce->primary_port, "http");
}

TEST(Aurora, OurJsonOfATaskIsThermossOwn) {
  const std::string data = executor_data("01-worked-example");
  const json theirs = json::parse(data).at("task");
  json ours = json::parse(task_json(task_of(data)));
  ours.erase("user");  // of the job, where Thermos has none
  ours.erase("announce"), ours.erase("health_check_config"), ours.erase("lifecycle"), ours.erase("ports");
  EXPECT_EQ(ours, theirs);
  EXPECT_TRUE(ours.at("resources").at("cpu").is_number_float());
  EXPECT_TRUE(ours.at("processes").at(0).at("min_duration").is_number_integer());
}

TEST(Aurora, UnknownPartsAreSilentlyIgnored) {
  EXPECT_THAT(complaints_of(executor_data("03-mesos-image-and-volumes")), IsEmpty());
  EXPECT_THAT(complaints_of(R"({"name":"x","future":{"a":[1,2]},"processes":[{"name":"p","cmdline":"c","new":null}]})"),
              IsEmpty());
}

TEST(Aurora, DefaultsAreFilledInWhereAJobLeavesThemOut) {
  const TaskSpec task = task_of(executor_data("04-minimal"));
  EXPECT_EQ(task.processes.at(0).max_failures, 1u);
  EXPECT_EQ(task.processes.at(0).min_duration, 5s);
  EXPECT_THAT(task.ports, IsEmpty());
}

TEST(Aurora, TheOldFormOfAnInstanceIsAccepted) {
  const TaskSpec task = task_of(R"({"task": {"name": "t", "user": "{{thermos.user}}", "processes":
      [{"name": "p", "cmdline": "run {{mesos.instance}}", "daemon": 0, "ephemeral": 0, "final": 1}]},
      "instance": 7, "role": "www", "environment": "devel"})");
  EXPECT_EQ(task.instance, 7u);
  EXPECT_EQ(task.role, "www");
  EXPECT_FALSE(task.processes[0].daemon);
  EXPECT_TRUE(task.processes[0].final);
}

TEST(Aurora, ABareTaskWithAnOldUserReferenceLeavesTheUserOpen) {
  EXPECT_EQ(task_of(R"({"name":"t","user":"{{thermos.user}}","processes":[{"name":"p","cmdline":"c"}]})").user, "");
}

TEST(Aurora, AmountsOfZeroMeanNoLimit) {
  const TaskSpec task =
      task_of(R"({"name":"t","processes":[{"name":"p","cmdline":"c"}],"resources":{"cpu":0,"ram":0,"disk":0}})");
  EXPECT_EQ(task.sandbox.limits.memory, 0u);
}

TEST(Aurora, AReferenceThatNobodyFillsInIsRefused) {
  EXPECT_THAT(complaints_of(R"({"name":"t","processes":[{"name":"p","cmdline":"{{profile.x}}"}]})"),
              ElementsAre(testing::HasSubstr("nothing is known as '{{profile.x}}'")));
}

TEST(Thermos, ItsOwnTaskFilesAreReadAndWrittenBackWithTheSameMeaning) {
  int read = 0;
  for (const char* state : {"active", "finished"}) {
    for (const auto& file : std::filesystem::directory_iterator(kTapes + "thermos/tasks/" + state)) {
      const std::string text = content(file.path());
      json ours = json::parse(task_json(task_of(text)));
      ours.erase("ports");  // ours; Thermos's tools skip it
      const json theirs = json::parse(text);
      for (const auto& [key, value] : theirs.items()) {
        EXPECT_TRUE(key == "user" || ours[key] == value) << file.path() << ": " << key;
      }
      ++read;
    }
  }
  EXPECT_GE(read, 10);
}

}  // namespace
}  // namespace dewar
