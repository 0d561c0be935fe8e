#include "thermos/runner_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/encoding.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

RunnerSpec sample() {
  RunnerSpec spec;
  spec.task_id = "web-1";
  spec.task_name = "web";
  ProcessSpec process;
  process.name = "fetch";
  process.cmdline = "curl -O x";
  process.max_failures = 3;
  process.min_duration = std::chrono::milliseconds(1500);
  process.logger = LogPolicy{LogDestination::kBoth, LogMode::kRotate, 4096, 2};
  spec.plan.processes = {process};
  process.name = "serve", process.daemon = true, process.logger.reset();
  spec.plan.processes.push_back(process);
  spec.plan.constraints = {{"fetch", "serve"}};
  spec.plan.max_concurrency = 4;
  spec.plan.finalization_wait = std::chrono::seconds(30);
  spec.task_json = "{}", spec.hostname = "host1";
  spec.ports = {{"health", 31002}, {"http", 31001}};
  spec.health.emplace().max_consecutive_failures = 2;
  spec.required_ports = {"http"};
  spec.run_folder = "/w/runs/c", spec.container_id = "c";
  spec.user = {"www", 33, 33, {4, 5}};
  spec.user_found = false;
  spec.sandbox.limits.memory = 1 << 20;
  spec.sandbox.binds = {{"/a", "/b"}};
  spec.seccomp = std::string("\0\1\2", 3);
  spec.capabilities = 1ull << 40;
  spec.cgroups.unified = "/sys/fs/cgroup/dewar";
  spec.launcher = "/usr/bin/dewar-launch", spec.path = "/bin", spec.preserved_environment = {"A=b"};
  return spec;
}

std::string refusal(const std::string& bytes) {
  const auto spec = decode_runner_spec(bytes);
  if (spec) return "accepted";
  EXPECT_EQ(spec.error().code, std::errc::bad_message);
  return spec.error().message();
}

TEST(RunnerSpec, ComesBackWithEveryField) {
  const std::string bytes = encode_runner_spec(sample());
  const auto spec = decode_runner_spec(bytes);
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(encode_runner_spec(*spec), bytes);
  EXPECT_EQ(spec->plan.processes[0].logger->log_size, 4096u);
  EXPECT_TRUE(spec->plan.processes[1].daemon);
  EXPECT_EQ(spec->plan.processes[0].min_duration, std::chrono::milliseconds(1500));
  EXPECT_EQ(spec->seccomp.size(), 3u);
  EXPECT_FALSE(spec->user_found);
  EXPECT_EQ(spec->health->http.endpoint, "/health");
  EXPECT_EQ(spec->health->max_consecutive_failures, 2u);
  EXPECT_FALSE(spec->health->shell_command);
  EXPECT_EQ(spec->preserved_environment, std::vector<std::string>{"A=b"});
}

TEST(RunnerSpec, BeginsWithMagicVersionLengthAndChecksum) {
  const std::string bytes = encode_runner_spec(sample());
  EXPECT_EQ(bytes.substr(0, 4), "DWRS");
  EXPECT_EQ(bytes.substr(4, 4), std::string("\4\0\0\0", 4));
  std::uint32_t length = 0, sum = 0;
  Decoder header(std::string_view(bytes).substr(8, 8));
  header(length, sum);
  EXPECT_EQ(length, bytes.size() - 16);
  EXPECT_EQ(sum, crc32c(std::string_view(bytes).substr(16)));
}

TEST(RunnerSpec, DamagedOrCutAnywhereIsRefusedInWords) {
  const std::string bytes = encode_runner_spec(sample());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] ^= 16;
    EXPECT_NE(refusal(flipped), "accepted") << at;
    EXPECT_NE(refusal(bytes.substr(0, at)), "accepted") << at;
  }
  EXPECT_THAT(refusal(bytes.substr(0, 3)), HasSubstr("ends within its header"));
  EXPECT_THAT(refusal("XXXX" + bytes.substr(4)), HasSubstr("does not begin with 'DWRS'"));
  EXPECT_THAT(refusal(bytes + "x"), HasSubstr("bytes where"));
}

TEST(RunnerSpec, ThatTheHostHasLostIsToldWithWhatToDo) {
  const TempFolder run;
  EXPECT_EQ(read_runner_spec(run.path()).error().code, std::errc::no_such_file_or_directory);
  ASSERT_TRUE(replace_file(run / "runner.spec", ""));
  const Error lost = read_runner_spec(run.path()).error();
  EXPECT_EQ(lost.code, std::errc::bad_message);
  EXPECT_THAT(lost.message(), HasSubstr(run / "runner.spec: it is empty, since the host went down"));
  EXPECT_THAT(lost.message(), HasSubstr("choose another task id, or remove " + run.path()));
  ASSERT_TRUE(replace_file(run / "runner.spec", encode_runner_spec(sample())));
  EXPECT_EQ(read_runner_spec(run.path())->task_id, "web-1");
}

TEST(RunnerSpec, OfAnotherVersionIsNamedAsSuch) {
  std::string bytes = encode_runner_spec(sample());
  bytes[4] = 9;
  EXPECT_THAT(refusal(bytes), HasSubstr("version 9, where this program reads 4"));
}

TEST(RunnerSpec, WithAPlanThatCannotBeOrAValueWithoutMeaningIsRefused) {
  RunnerSpec circle = sample(), unknown = sample(), past = sample();
  circle.plan.constraints = {{"fetch", "fetch"}};
  EXPECT_THAT(refusal(encode_runner_spec(circle)), HasSubstr("the order runs in a circle"));
  unknown.plan.logger.mode = static_cast<LogMode>(9);
  EXPECT_THAT(refusal(encode_runner_spec(unknown)), HasSubstr("a value that has no meaning"));
  past.plan.finalization_wait = -std::chrono::seconds(1);
  EXPECT_THAT(refusal(encode_runner_spec(past)), HasSubstr("a value that has no meaning"));
  RunnerSpec restless = sample(), portless = sample();
  restless.health->interval = Duration{};
  EXPECT_THAT(refusal(encode_runner_spec(restless)), HasSubstr("a value that has no meaning"));
  portless.ports.erase("health");
  EXPECT_THAT(refusal(encode_runner_spec(portless)), HasSubstr("a value that has no meaning"));
  portless.health->shell_command = "true";
  EXPECT_TRUE(decode_runner_spec(encode_runner_spec(portless)));
}

}  // namespace
}  // namespace dewar
