#include "tests/spec/reading.h"
#include "thermos/spec/bind.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kDigest(64, 'a');

TaskSpec fetching(const std::string& fetch) { return task_of("processes: [{name: get, fetch: " + fetch + "}]"); }

std::string complaint(const std::string& fetch) {
  const auto all = complaints_of("processes: [{name: get, fetch: " + fetch + "}]");
  return all.empty() ? "" : all.front();
}

TEST(ArtifactTest, AUriAloneIsEnough) {
  const TaskSpec task = fetching("https://host/a.tgz");
  ASSERT_EQ(task.processes.at(0).fetch.size(), 1u);
  const Artifact& artifact = task.processes[0].fetch[0];
  EXPECT_EQ(artifact.uri, "https://host/a.tgz");
  EXPECT_EQ(artifact.extract, Unpack::kByName);
  EXPECT_EQ(artifact.cache, CacheUse::kWithDigest);
  EXPECT_EQ(artifact.timeout, std::chrono::minutes(30));
  EXPECT_FALSE(artifact.executable);
}

TEST(ArtifactTest, EveryFieldIsRead) {
  const TaskSpec task = fetching("[{uri: 'https://host/a', mirrors: ['ftp://m/a'], sha256: '" + kDigest +
                                 "', output_file: bin/a, into: lib, extract: true, cache: false, headers: {X-Key: k}, "
                                 "credential: store, timeout: 10s, max_size: 1GB}, /srv/file]");
  ASSERT_EQ(task.processes[0].fetch.size(), 2u);
  const Artifact& artifact = task.processes[0].fetch[0];
  EXPECT_THAT(artifact.mirrors, ElementsAre("ftp://m/a"));
  EXPECT_EQ(artifact.sha256, kDigest);
  EXPECT_EQ(artifact.output_file, "bin/a");
  EXPECT_EQ(artifact.into, "lib");
  EXPECT_EQ(artifact.extract, Unpack::kAlways);
  EXPECT_EQ(artifact.cache, CacheUse::kNo);
  EXPECT_EQ(artifact.headers.at("X-Key"), "k");
  EXPECT_EQ(artifact.credential, "store");
  EXPECT_EQ(artifact.timeout, std::chrono::seconds(10));
  EXPECT_EQ(artifact.max_size, 1u << 30);
  EXPECT_EQ(task.processes[0].fetch[1].uri, "/srv/file");
}

TEST(ArtifactTest, BadOnesAreToldWithTheirPlace) {
  EXPECT_EQ(complaint("host/a"), "1:32: 'host/a' is no URI: it needs a scheme in front, such as https://");
  EXPECT_THAT(complaint("https://host"), HasSubstr("has no path that names a file"));
  EXPECT_THAT(complaint("'https:///a'"), HasSubstr("has no host"));
  EXPECT_THAT(complaint("\"https://h/a b\""), HasSubstr("has a space"));
  EXPECT_THAT(complaint("/srv/"), HasSubstr("names a folder"));
  EXPECT_THAT(complaint("{}"), HasSubstr("an artifact needs a 'uri'"));
  EXPECT_THAT(complaint("[]"), HasSubstr("a URI, an artifact, or a list of them"));
  for (const char* path : {"/etc/passwd", "../x", "a/../../x", "a//b", "a/", "''"})
    EXPECT_THAT(complaint("{uri: 'https://h/a', output_file: " + std::string(path) + "}"),
                HasSubstr("a path in the sandbox"))
        << path;
  EXPECT_THAT(complaint("{uri: 'https://h/a', into: ../x}"), HasSubstr("a path in the sandbox"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', sha256: abc}"), HasSubstr("64 hexadecimal digits"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', sha512: " + kDigest + "}"), HasSubstr("128 hexadecimal digits"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', headers: {'a b': c}}"), HasSubstr("no header"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', headers: {Range: c}}"), HasSubstr("no header"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', headers: {A: \"c\\r\\nB: d\"}}"),
              HasSubstr("without control characters"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', credential: ../secret}"), HasSubstr("the name of a file"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', timeout: 0}"), HasSubstr("'timeout'"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', executable: true, extract: true}"), HasSubstr("either executable or"));
  EXPECT_THAT(complaint("{uri: 'https://h/a', executable: true, into: x}"), HasSubstr("'into' is for archives"));
  EXPECT_THAT(complaints_of("processes: [{name: p, cmdline: x, fetch: /a}]").front(),
              HasSubstr("either a 'cmdline' or"));
  EXPECT_THAT(complaints_of("processes: [{name: p}]").front(), HasSubstr("needs a 'cmdline' or a 'fetch'"));
}

TEST(ArtifactTest, ASecretInTheFileIsWarnedOf) {
  EXPECT_THAT(complaint("{uri: 'https://h/a', headers: {Authorization: x}}"), HasSubstr("warning: a secret"));
}

// The task's artifacts are a process like any other, before all that would begin first.
TEST(ArtifactTest, OfATaskComeBeforeItsFirstProcesses) {
  const TaskSpec task = task_of(
      "artifacts: [https://h/a, https://h/b]\nprocesses: [{name: a, cmdline: x}, {name: b, cmdline: x}, "
      "{name: c, cmdline: x}, {name: end, cmdline: x, final: true}]\norder: [a, b]\n");
  ASSERT_EQ(task.processes.size(), 5u);
  EXPECT_EQ(task.processes[0].name, "artifacts");
  EXPECT_EQ(task.processes[0].fetch.size(), 2u);
  EXPECT_THAT(task.constraints, ElementsAre(Order{"a", "b"}, Order{"artifacts", "a"}, Order{"artifacts", "c"}));
  EXPECT_THAT(complaints_of("artifacts: [/a]\nprocesses: [{name: artifacts, cmdline: x}]\n").front(),
              HasSubstr("two processes are named 'artifacts'"));
}

TEST(ArtifactTest, TemplatesAreFilledInAndWhatTheyMakeIsChecked) {
  const TaskSpec task = fetching("{uri: 'http://h/{{mesos.hostname}}.tgz', output_file: '{{thermos.task_id}}'}");
  const auto good = bind(task, {"id", "user", "host", 0, {}});
  ASSERT_TRUE(good) << good.error().message();
  EXPECT_EQ(good->processes[0].fetch[0].uri, "http://h/host.tgz");
  EXPECT_EQ(good->processes[0].fetch[0].output_file, "id");
  const auto bad = bind(task, {"../id", "user", "ho st", 0, {}});
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message(), HasSubstr("has a space"));
  EXPECT_THAT(bad.error().message(), HasSubstr("is no path in the sandbox"));
}

TEST(ArtifactTest, ComesBackFromJson) {
  const TaskSpec task = fetching("{uri: 'https://u:secret@host/a?token=t', sha256: '" + kDigest +
                                 "', extract: false, cache: true, headers: {A: b}, max_size: 7, timeout: 1500ms}");
  const std::string json = task_json(task);
  const TaskSpec again = task_of(json);
  EXPECT_EQ(task_json(again), json);
  EXPECT_THAT(json, HasSubstr("\"cmdline\":\"dewar-fetch artifact\""));
}

}  // namespace
}  // namespace dewar
