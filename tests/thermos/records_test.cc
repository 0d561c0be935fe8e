#include "thermos/records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/crc32c.h"
#include "tests/thermos/tapes.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

std::string unhex(std::string_view text) {
  std::string bytes;
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
    if (digits.size() == 2) bytes += static_cast<char>(std::stoi(digits, nullptr, 16)), digits.clear();
  }
  return bytes;
}

ProcessRecord forked() {
  ProcessRecord r;
  r.seq = 1;
  r.process = "run";
  r.state = ProcessState::kForked;
  r.coordinator_pid = 4242;
  r.fork_time = 1700000000.5;
  return r;
}

TaskRecord active() {
  TaskRecord r;
  r.timestamp_ms = 1700000000000;
  r.runner_pid = 4000;
  r.runner_uid = 0;
  return r;
}

/// One of each kind, with every field filled in.
std::vector<Record> full_records() {
  Usage usage;
  for (const UsageField& field : kUsageFields) usage.*field.value = 1000 + field.id;
  HeaderRecord header{"task-1",   1700000000123, "/box", "/box/.logs", "host1", "www", 33, {{"http", 80}, {"", -1}},
                      "10.82.0.5"};
  ProcessRecord process = forked();
  process.state = ProcessState::kKilled;
  process.start_time = 1.5, process.stop_time = 2.5;
  process.pid = 7, process.return_code = -9;
  process.reason = "killed by SIGKILL (9)";
  process.coordinator_start = 0xffffffffffffffff;
  process.usage = usage;
  process.limits = "cpu=1";
  TaskRecord task = active();
  task.state = TaskState::kCleaning;
  task.reason = "killed on request";
  task.boot_id = "b";
  task.usage = usage;
  task.limits = "cpu=1";
  task.outcome = TaskState::kKilled;
  return {header,
          process,
          task,
          SampleRecord{"p", 3, 1.25, 0.5, usage},
          EventRecord{1700000000.5, "disk", "p", 3, "the sandbox is full"},
          EventRecord{1700000000.5, "memory", "", 0, "", {{"limit_bytes", "67108864"}, {"victim_name", "a b"}}}};
}

const char* const kGoldenForked =
    "00000033 0c0002 0a0001 0000000000000001 0b0003 00000003 72756e 080005 00000001 08000a 00001092 04000b "
    "41d954fc40200000 00 00";
const char* const kGoldenActive =
    "00000025 0c0003 080001 00000000 0a0002 0000018bcfe56800 080003 00000fa0 080004 00000000 00 00";

TEST(Records, AForkedRunWithoutOurFieldsIsThermossGoldenString) {
  EXPECT_EQ(framed(encode_plain_record(forked())), unhex(kGoldenForked));
}

TEST(Records, AnActiveTaskWithoutOurFieldsIsThermossGoldenString) {
  EXPECT_EQ(framed(encode_plain_record(active())), unhex(kGoldenActive));
}

TEST(Records, ThermossGoldenStringsAreReadBack) {
  const auto process = decode_record(unhex(kGoldenForked).substr(4));
  ASSERT_TRUE(process) << process.error().message();
  EXPECT_EQ(std::get<ProcessRecord>(*process), forked());
  const auto task = decode_record(unhex(kGoldenActive).substr(4));
  ASSERT_TRUE(task) << task.error().message();
  EXPECT_EQ(std::get<TaskRecord>(*task), active());
}

TEST(Records, OurRecordIsThermossWithFieldsBehindItsOwn) {
  const std::string plain = encode_plain_record(forked()), ours = encode_record(forked());
  EXPECT_EQ(ours.substr(0, plain.size() - 2), plain.substr(0, plain.size() - 2));
  EXPECT_EQ(ours.substr(plain.size() - 2, 3), unhex("08 0064"));
  EXPECT_EQ(ours.size(), plain.size() + 7);
}

TEST(Records, TheChecksumCoversEveryByteBeforeItsField) {
  const std::string ours = encode_record(forked());
  const std::size_t field = ours.size() - 9;
  const std::uint32_t sum = crc32c(ours.substr(0, field));
  const std::string expected{char(sum >> 24), char(sum >> 16), char(sum >> 8), char(sum), 0, 0};
  EXPECT_EQ(ours.substr(field + 3), expected);
}

TEST(Records, OfEveryKindComeBackWithEveryField) {
  for (const Record& record : full_records()) {
    const auto back = decode_record(encode_record(record));
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(*back, record);
  }
}

TEST(Records, ABitFlippedAnywhereChangesNoFieldUnnoticed) {
  for (const Record& record : full_records()) {
    const std::string bytes = encode_record(record);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
      const auto back = decode_record(flipped);
      if (back) {
        EXPECT_EQ(*back, record) << "bit " << bit;
      }
    }
  }
}

TEST(Records, CutShortAnywhereAreRefusedInWords) {
  for (const Record& record : full_records()) {
    const std::string bytes = encode_record(record);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto back = decode_record(std::string_view(bytes).substr(0, size));
      ASSERT_FALSE(back) << size;
      EXPECT_EQ(back.error().code, std::errc::bad_message);
      EXPECT_FALSE(back.error().context.empty());
    }
  }
}

TEST(Records, AWrongChecksumIsNamed) {
  std::string bytes = encode_record(forked());
  bytes[21] ^= 1;  // in the process's name
  const auto back = decode_record(bytes);
  ASSERT_FALSE(back);
  EXPECT_THAT(back.error().message(), HasSubstr("checksum"));
}

TEST(Records, FieldsOfALaterVersionAreSkippedWhateverTheirType) {
  std::string bytes = encode_plain_record(active());
  bytes.resize(bytes.size() - 2);
  bytes += unhex("02 7000 01");                                                          // bool
  bytes += unhex("03 7001 01  06 7002 0001  04 7003 0000000000000000");                  // byte, i16, double
  bytes += unhex("0b 7004 00000002 6869");                                               // string
  bytes += unhex("0d 7005 0b 0f 00000001  00000001 61  08 00000002 00000001 00000002");  // map of lists
  bytes += unhex("0c 7006 0e 0001 08 00000001 00000007 00");                             // struct with a set
  bytes += unhex("00 00");
  const auto back = decode_record(bytes);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(std::get<TaskRecord>(*back), active());
}

struct Unfit {
  const char* what;
  const char* bytes;
  const char* words;
};

TEST(Records, ThatDoNotFitAreRefusedInWords) {
  const Unfit cases[] = {
      {"an empty union", "00", "another type"},
      {"an unknown member", "0c0009 00 00", "no known kind"},
      {"a state that does not exist", "0c0003 080001 00000007 00 00", "no state 7"},
      {"a negative state", "0c0002 080005 ffffffff 00 00", "no state -1"},
      {"a known field of another type", "0c0003 0a0001 0000000000000000 00 00", "field 1 has another type"},
      {"two records in one", "0c0003 080001 00000000 00 0c0003 00 00", "more than one record"},
      {"bytes behind the end", "0c0003 080001 00000000 00 00 00", "left over"},
      {"a string longer than the record", "0c0002 0b0003 7fffffff 61 00 00", "ends early"},
      {"a map of other things", "0c0001 0d0006 08 08 00000001 00000001 00000001 00 00", "map of other things"},
      {"an unknown type", "0c0003 110070 00 00", "unknown type 17"},
  };
  for (const Unfit& unfit : cases) {
    const auto back = decode_record(unhex(unfit.bytes));
    ASSERT_FALSE(back) << unfit.what;
    EXPECT_THAT(back.error().message(), HasSubstr(unfit.words)) << unfit.what;
  }
}

TEST(Records, NestedTooDeepAreRefused) {
  std::string bytes = unhex("0c0003");
  for (int i = 0; i < 100000; ++i) bytes += unhex("0c7000");
  const auto back = decode_record(bytes);
  ASSERT_FALSE(back);
  EXPECT_THAT(back.error().message(), HasSubstr("too deep"));
}

// What Thermos itself wrote.

nlohmann::json describe(const HeaderRecord& r) {
  nlohmann::json out{{"task_id", r.task_id}, {"launch_time_ms", r.launch_time_ms},
                     {"sandbox", r.sandbox}, {"hostname", r.hostname},
                     {"user", r.user},       {"ports", r.ports}};
  if (!r.log_dir.empty()) out["log_dir"] = r.log_dir;
  if (r.uid) out["uid"] = *r.uid;
  return {{"runner_header", out}};
}
nlohmann::json describe(const ProcessRecord& r) {
  nlohmann::json out{{"seq", r.seq}, {"process", r.process}, {"state", to_string(r.state)}};
  if (r.coordinator_pid) out["coordinator_pid"] = *r.coordinator_pid;
  if (r.fork_time) out["fork_time"] = *r.fork_time;
  if (r.start_time) out["start_time"] = *r.start_time;
  if (r.pid) out["pid"] = *r.pid;
  if (r.stop_time) out["stop_time"] = *r.stop_time;
  if (r.return_code) out["return_code"] = *r.return_code;
  return {{"process_status", out}};
}
nlohmann::json describe(const TaskRecord& r) {
  return {{"task_status",
           {{"state", to_string(r.state)},
            {"timestamp_ms", r.timestamp_ms},
            {"runner_pid", r.runner_pid},
            {"runner_uid", r.runner_uid}}}};
}
nlohmann::json describe(const SampleRecord&) { return {}; }
nlohmann::json describe(const EventRecord&) { return {}; }

TEST(Tapes, EveryRecordOfThermosReadsAsThermosReadsIt) {
  std::istringstream lines(tapes::content(tapes::root() + "/decoded.jsonl"));
  int records = 0;
  for (std::string line; std::getline(lines, line); ++records) {
    nlohmann::json expected = nlohmann::json::parse(line);
    const std::string stream =
        tapes::content(tapes::root() + "/checkpoints/" + expected.at("stream").get<std::string>());
    const auto record =
        decode_record(stream.substr(expected.at("offset").get<std::size_t>() + 4, expected.at("length")));
    ASSERT_TRUE(record) << line << ": " << record.error().message();
    for (const char* place : {"stream", "offset", "length"}) expected.erase(place);
    EXPECT_EQ(std::visit([](const auto& r) { return describe(r); }, *record), expected);
  }
  EXPECT_EQ(records, 211);
}

/// Calls `check` with each record of a tree and its bytes; returns how many there were.
template <class Check>
int for_each_record(const std::string& tree, Check check) {
  int records = 0;
  for (const std::string& path : tapes::streams(tree)) {
    for (const std::string& payload : tapes::payloads(tapes::content(path))) {
      SCOPED_TRACE(path);
      const auto record = decode_record(payload);
      if (record) {
        check(*record, payload);
      } else {
        ADD_FAILURE() << record.error().message();
      }
      ++records;
    }
  }
  return records;
}

/// The same bytes; but for a header's ports, whose order Thermos left to chance.
void expect_written_back(const Record& record, const std::string& payload) {
  const std::string bytes = encode_plain_record(record);
  const auto* header = std::get_if<HeaderRecord>(&record);
  if (!header || header->ports.size() < 2) {
    EXPECT_EQ(bytes, payload);
  }
  EXPECT_EQ(bytes.size(), payload.size());
  EXPECT_EQ(*decode_record(bytes), record);
}

TEST(Tapes, EveryRecordOfThermosIsWrittenBackToTheSameBytes) {
  EXPECT_EQ(for_each_record(tapes::root(), expect_written_back), 211);
}

TEST(Tapes, EveryRecordOf2012IsWrittenBackToTheSameBytes) {
  if (tapes::fixtures().empty()) GTEST_SKIP() << "DEWAR_TAPES is not set";
  EXPECT_EQ(for_each_record(tapes::fixtures(), expect_written_back), 123);
}

}  // namespace
}  // namespace dewar
