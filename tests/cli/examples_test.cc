// Every example ends as its comment says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "base/process.h"
#include "tests/cli/dewar_command.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kExamples = std::string(DEWAR_SOURCE) + "/examples";

json end_of(const std::string& file, const TempFolder& folder) {
  DewarCommand dewar({"run", file, "--work-dir", folder / "work", "--task-id", "example", "-o", "json"});
  const int exit = dewar.wait();
  EXPECT_THAT(exit, ::testing::AnyOf(0, 1)) << dewar.err();
  return exit > 1 ? json::object() : json::parse(dewar.out());
}

std::string output(const json& report, std::size_t process, const char* stream) {
  const json& runs = report["processes"][process]["runs"];
  const auto text = read_file(runs.back()[stream].get<std::string>());
  return text ? *text : "";
}

struct Limit {
  const char* file;
  const char* state;
  const char* words;  ///< in the reason, or in what its first process wrote
};

class LimitExampleTest : public testing::TestWithParam<Limit> {};

constexpr Limit kLimits[] = {
    {"cpu-quota", "SUCCESS", "0.5 s of CPU time in"},     {"finalization", "SUCCESS", "tidy"},
    {"memory", "FAILED", "memory limit of 64.0 MB"},      {"network", "SUCCESS", "Network is unreachable"},
    {"nofile", "SUCCESS", "Too many open files"},         {"pids", "SUCCESS", "Resource temporarily unavailable"},
    {"system-call", "FAILED", "Operation not permitted"}, {"tmpfs", "FAILED", "No space left on device"},
};

// covers: limit rlimits, limit memory.max, limit cpu.max, limit pids.max, limit tmpfs
TEST_P(LimitExampleTest, IsCrossedAndTold) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make sandboxes";
  const TempFolder folder;
  const json report = end_of(kExamples + "/limits/" + GetParam().file + ".yaml", folder);
  EXPECT_EQ(report["state"], GetParam().state) << report["reason"];
  const std::string told = (report["reason"].is_string() ? report["reason"].get<std::string>() : "") +
                           output(report, 0, "stdout") + output(report, 0, "stderr");
  EXPECT_THAT(told, HasSubstr(GetParam().words));
}

INSTANTIATE_TEST_SUITE_P(Each, LimitExampleTest, testing::ValuesIn(kLimits), [](const auto& one) {
  std::string name = one.param.file;
  std::erase(name, '-');
  return name;
});

TEST(ExamplesTest, EveryLimitThatIsShownIsTested) {
  std::set<std::string> tested;
  for (const Limit& limit : kLimits) tested.insert(std::string(limit.file) + ".yaml");
  const auto files = list_dir(kExamples + "/limits");
  ASSERT_TRUE(files);
  EXPECT_EQ(tested, std::set<std::string>(files->begin(), files->end()));
}

TEST(ExamplesTest, TheDiamondJoinsBothHalvesAfterARetry) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make sandboxes";
  const TempFolder folder;
  const json report = end_of(kExamples + "/diamond.yaml", folder);
  EXPECT_EQ(report["state"], "SUCCESS");
  std::map<std::string, std::size_t> runs;
  for (const json& process : report["processes"]) runs[process["name"]] = process["runs"].size();
  EXPECT_EQ(runs, (std::map<std::string, std::size_t>{{"prepare", 1}, {"sumOdd", 1}, {"sumEven", 2}, {"join", 1}}));
  EXPECT_EQ(output(report, 3, "stdout"), "total 500500\n");
}

TEST(ExamplesTest, TheBridgeHasAnAddressAtWhichItsServerAnswers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make sandboxes";
  if (!exists("/usr/lib/cni/bridge") || !exists("/usr/sbin/iptables"))
    GTEST_SKIP() << "needs the packages containernetworking-plugins and iptables";
  const TempFolder folder;
  const json report = end_of(kExamples + "/bridge.yaml", folder);
  EXPECT_EQ(report["state"], "SUCCESS") << report["reason"];
  EXPECT_THAT(output(report, 1, "stdout"), HasSubstr("from " + report["address"].get<std::string>() + ": hello from "));
}

/// The example's web server, from `examples/serve` as its page says, on a port of its own.
class WebServer {
 public:
  WebServer(const std::string& folder, int port) {
    Spawn server;
    server.program = kExamples + "/serve";
    server.argv = {"serve", folder, std::to_string(port)};
    server.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    const auto pid = spawn(server);
    EXPECT_TRUE(pid) << pid.error().message();
    if (pid) pid_ = *pid;
  }
  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;
  ~WebServer() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

/// One GET by curl, which tries again while nobody listens yet.
std::string get(const std::string& url) {
  const std::string command = "curl --silent --fail --retry 20 --retry-delay 1 --retry-connrefused '" + url + "'";
  FILE* pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) return {};
  const auto text = read_all(::fileno(pipe), "curl");
  EXPECT_EQ(::pclose(pipe), 0) << url;
  return text ? *text : "";
}

TEST(ExamplesTest, TheServiceIsFetchedAnswersAndIsStopped) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to make sandboxes";
  if (!exists("/usr/sbin/nginx")) GTEST_SKIP() << "needs nginx (packaging/packages)";
  const TempFolder folder;
  const int port = 20000 + ::getpid() % 10000;
  const WebServer server(folder / "web", port);
  get("http://127.0.0.1:" + std::to_string(port) + "/config.json");

  auto yaml = read_file(kExamples + "/related-questions.yaml");
  ASSERT_TRUE(yaml);
  std::string text = *yaml;
  const std::size_t at = text.find(":8470");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 5, ":" + std::to_string(port));
  ASSERT_TRUE(replace_file(folder / "task.yaml", text));

  DewarCommand dewar({"run", folder / "task.yaml", "--work-dir", folder / "work", "--task-id", "rq", "-o", "jsonl"});
  ASSERT_TRUE(dewar.wait_for(R"("process":"runService","run":0,"state":"RUNNING")")) << dewar.err();
  std::string http, health;
  for (std::size_t start = 0; start < dewar.out().size();) {
    const std::size_t end = dewar.out().find('\n', start);
    if (end == std::string::npos) break;
    const json event = json::parse(dewar.out().substr(start, end - start));
    if (event["event"] == "header") http = event["ports"]["http"].dump(), health = event["ports"]["health"].dump();
    start = end + 1;
  }
  EXPECT_THAT(get("http://127.0.0.1:" + http + "/related?q=memory+limit"), HasSubstr("limit the memory"));
  EXPECT_EQ(get("http://127.0.0.1:" + health + "/health"), "ok");

  dewar.signal(SIGINT);
  EXPECT_EQ(dewar.wait(), 1) << dewar.err();
  const json report = json::parse(dewar.out().substr(dewar.out().rfind('\n', dewar.out().size() - 2) + 1));
  EXPECT_EQ(report["state"], "KILLED");
  EXPECT_EQ(output(report, 3, "stdout"), "rq answered 1 questions\n");
}

}  // namespace
}  // namespace dewar
