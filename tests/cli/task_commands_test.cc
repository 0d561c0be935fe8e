// `dewar validate` and `dewar plan` as a person calls them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "base/process.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct Outcome {
  int status = -1;
  std::string out, err;
};

class TaskCommands : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) {
    EXPECT_TRUE(replace_file(folder_ / name, text));
    return folder_ / name;
  }

  Outcome dewar(std::vector<std::string> arguments, const std::string& standard_input = "") {
    const auto in = open_file(file("in", standard_input), O_RDONLY);
    const auto out = open_file(folder_ / "out", O_RDWR | O_CREAT | O_TRUNC);
    const auto err = open_file(folder_ / "err", O_RDWR | O_CREAT | O_TRUNC);
    arguments.insert(arguments.begin(), "dewar");
    const auto pid = spawn(
        {.program = DEWAR_BIN "/dewar", .argv = arguments, .env = {}, .fds = {in->get(), out->get(), err->get()}});
    EXPECT_TRUE(pid) << pid.error().message();
    int status = 0;
    EXPECT_EQ(::waitpid(*pid, &status, 0), *pid);
    EXPECT_TRUE(WIFEXITED(status));
    return {WEXITSTATUS(status), *read_file(folder_ / "out"), *read_file(folder_ / "err")};
  }

  TempFolder folder_;
};

const char* const kGood =
    "processes: [{name: a, cmdline: 'x {{thermos.ports[http]}}'}, {name: z, cmdline: y, final: true}]\n";
const char* const kBad = "name: x\nprocesses: [{name: a}]\nmax_failure: 2\n";

TEST_F(TaskCommands, ValidateSaysOkAndWhatItFound) {
  const std::string path = file("good.yaml", kGood);
  const Outcome outcome = dewar({"validate", path});
  EXPECT_EQ(outcome.out, path + ": ok, 2 processes, 1 final, port http\n");
  EXPECT_THAT(outcome.err, IsEmpty());
  EXPECT_EQ(outcome.status, 0);
}

TEST_F(TaskCommands, ValidateTellsEveryComplaintAndExitsWithTwo) {
  const std::string path = file("bad.yaml", kBad);
  const Outcome outcome = dewar({"validate", path});
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_EQ(
      outcome.err,
      path + ":2:13: error: a process needs a 'cmdline' or a 'fetch'\n    processes: [{name: a}]\n                ^\n" +
          path + ":3:1: error: unknown key 'max_failure'; did you mean 'max_failures'?\n" +
          "    max_failure: 2\n    ^\n");
  EXPECT_EQ(outcome.status, 2);
}

TEST_F(TaskCommands, AWarningIsToldAndTheFileIsStillGood) {
  const Outcome outcome = dewar({"validate", file("w.yaml", std::string(kGood) + "logger: {rotate: {}}\n")});
  EXPECT_THAT(outcome.err, HasSubstr(": warning: "));
  EXPECT_EQ(outcome.status, 0);
}

TEST_F(TaskCommands, ValidateSpeaksJson) {
  const Outcome good = dewar({"validate", "-o", "json", file("good.yaml", kGood)});
  EXPECT_EQ(good.status, 0);
  const auto found = nlohmann::json::parse(good.out);
  EXPECT_EQ(found.at("ok"), true);
  EXPECT_EQ(found.at("processes"), 2);
  EXPECT_EQ(found.at("ports"), nlohmann::json::array({"http"}));
  const Outcome bad = dewar({"validate", "-o", "json", file("bad.yaml", kBad)});
  EXPECT_EQ(bad.status, 2);
  EXPECT_THAT(bad.err, IsEmpty());
  const auto complaints = nlohmann::json::parse(bad.out).at("complaints");
  ASSERT_EQ(complaints.size(), 2u);
  EXPECT_EQ(complaints[1], nlohmann::json::parse(R"({"line": 3, "column": 1, "severity": "error",
      "message": "unknown key 'max_failure'; did you mean 'max_failures'?"})"));
}

TEST_F(TaskCommands, ADashReadsStandardInput) {
  EXPECT_THAT(dewar({"validate", "-"}, kGood).out, StartsWith("<stdin>: ok, 2 processes"));
  EXPECT_THAT(dewar({"validate", "-"}, kBad).err, StartsWith("<stdin>:2:13: error: "));
  EXPECT_EQ(dewar({"plan", "-o", "json", "-"}, kGood).out, "{\"levels\":[[\"a\"]],\"edges\":[],\"final\":[\"z\"]}\n");
}

TEST_F(TaskCommands, PlanDrawsNothingOfABadFile) {
  const Outcome outcome = dewar({"plan", file("bad.yaml", kBad)});
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("bad.yaml:2:13: error: "));
  EXPECT_EQ(outcome.status, 2);
}

TEST_F(TaskCommands, PlanTakesItsForms) {
  const std::string path = file("good.yaml", kGood);
  EXPECT_EQ(dewar({"plan", path}).out, "a: 1 process on 1 level, 1 final\n\n  1 - a\n\n  finally\n    - z\n");
  EXPECT_THAT(dewar({"plan", "-o", "dot", path}).out, StartsWith("digraph \"a\" {\n"));
  EXPECT_EQ(dewar({"plan", "-o", "png", path}).status, 2);
}

TEST_F(TaskCommands, AFileThatCannotBeReadIsToldByItsName) {
  for (const char* command : {"validate", "plan"}) {
    const Outcome outcome = dewar({command, folder_ / "nowhere.yaml"});
    EXPECT_THAT(outcome.err, HasSubstr("nowhere.yaml: No such file or directory"));
    EXPECT_EQ(outcome.status, 2);
  }
}

TEST_F(TaskCommands, AMissingFileArgumentIsWrongUsage) { EXPECT_EQ(dewar({"validate"}).status, 2); }

}  // namespace
}  // namespace dewar
