#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agent/cli/dump_view.h"
#include "tests/thermos/tapes.h"
#include "thermos/checkpoint.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string task_stream(int count) {
  std::string stream;
  for (int i = 0; i < count; ++i) {
    TaskRecord record;
    record.timestamp_ms = 1700000000000;
    record.runner_pid = 4000, record.runner_uid = 0;
    record.reason = "told \x1b[31m to";
    stream += framed(encode_record(record));
  }
  return stream;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines{""};
  for (const char c : text) c == '\n' ? lines.emplace_back() : lines.back() += c;
  lines.pop_back();
  return lines;
}

TEST(Dump, ShowsEveryRecordOfThermossStreamAlignedAndWithoutChecksum) {
  const std::string stream = tapes::content(tapes::root() + "/checkpoints/retry-then-success/runner");
  const StreamDump dump = dump_as_text(stream);
  const auto lines = lines_of(dump.text);
  EXPECT_EQ(lines.size(), 1 + replay(stream).records.size());
  EXPECT_FALSE(dump.damaged);
  EXPECT_EQ(lines[0], "  OFFSET  KIND     CRC   STATE       FIELDS");
  EXPECT_THAT(lines[1], StartsWith("       0  task     none  ACTIVE      timestamp=20"));
  EXPECT_THAT(lines[2], StartsWith("      41  header   none              task_id=retry-then-success launch_time=20"));
  EXPECT_THAT(dump.text, HasSubstr("FAILED      process=flaky seq=3 stop_time=20"));
}

TEST(Dump, ShowsOurFieldsAndThatTheChecksumIsRightAndNoControlCharacter) {
  const std::string text = dump_as_text(task_stream(1)).text;
  EXPECT_THAT(text,
              HasSubstr("  ok    ACTIVE      timestamp=2023-11-14T22:13:20.000000Z runner_pid=4000 runner_uid=0"));
  EXPECT_THAT(text, HasSubstr("reason=\"told ?[31m to\""));
}

TEST(Dump, TellsATornTailWhichIsNoDamage) {
  const std::string stream = task_stream(2);
  const StreamDump dump = dump_as_text(stream.substr(0, stream.size() - 5));
  EXPECT_FALSE(dump.damaged);
  EXPECT_THAT(dump.text, HasSubstr("torn: " + std::to_string(stream.size() / 2 - 5) + " bytes of a record"));
}

TEST(Dump, MarksADamagedRecordAndGoesOnBehindIt) {
  std::string stream = task_stream(3);
  stream[stream.size() / 3 + 12] ^= 1;
  const StreamDump dump = dump_as_text(stream);
  EXPECT_TRUE(dump.damaged);
  const auto lines = lines_of(dump.text);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_THAT(lines[2], HasSubstr("?        BAD               damaged: "));
  EXPECT_THAT(lines[3], HasSubstr("task     ok    ACTIVE"));
}

TEST(Dump, AsJsonHasThermossNamesAndPlainNumbers) {
  const std::string stream = tapes::content(tapes::root() + "/checkpoints/ordered-with-ports/runner");
  const auto json = nlohmann::json::parse(dump_as_json(stream).text);
  EXPECT_EQ(json["bytes"], stream.size());
  EXPECT_EQ(json["records"].size(), replay(stream).records.size());
  EXPECT_EQ(json["records"][0]["state"], "ACTIVE");
  EXPECT_EQ(json["records"][0]["crc"], "none");
  EXPECT_EQ(json["records"][1]["kind"], "header");
  EXPECT_EQ(json["records"][1]["ports.http"], 31001);
  EXPECT_TRUE(json["records"][3]["fork_time"].is_number_float());
  EXPECT_TRUE(json["damage"].empty());
  EXPECT_EQ(json["torn_bytes"], 0);
}

TEST(Dump, AsJsonNamesDamageAndTornBytes) {
  std::string stream = task_stream(2) + std::string(3, 0);
  stream[12] ^= 1;
  const StreamDump dump = dump_as_json(stream);
  EXPECT_TRUE(dump.damaged);
  const auto json = nlohmann::json::parse(dump.text);
  EXPECT_EQ(json["damage"][0]["offset"], 0);
  EXPECT_EQ(json["records"].size(), 1u);
  EXPECT_EQ(json["torn_bytes"], 3);
}

}  // namespace
}  // namespace dewar
