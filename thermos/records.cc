#include "thermos/records.h"

#include <iterator>
#include <type_traits>

#include "base/crc32c.h"
#include "thermos/thrift.h"

namespace dewar {
namespace {

using thrift::Field;
using thrift::Reader;
using thrift::Type;
using thrift::Writer;

constexpr std::int16_t kCrcField = 100, kReason = 101, kExtra = 102, kUsage = 103, kOutcome = 104, kLimits = 105;

// The union's field of each kind; 100 and up are ours.
constexpr std::int16_t member_of(const HeaderRecord&) { return 1; }
constexpr std::int16_t member_of(const ProcessRecord&) { return 2; }
constexpr std::int16_t member_of(const TaskRecord&) { return 3; }
constexpr std::int16_t member_of(const SampleRecord&) { return 100; }
constexpr std::int16_t member_of(const EventRecord&) { return 101; }

void put(Writer& out, std::int16_t id, const Usage& usage) {
  out.begin(id);
  for (const UsageField& field : kUsageFields) out.field(field.id, usage.*field.value);
  out.stop();
}

// Thermos's fields, in the order in which Thermos writes them: by number.

void put_plain(Writer& out, const HeaderRecord& r) {
  out.field(1, r.task_id);
  out.field(2, r.launch_time_ms);
  out.field(3, r.sandbox);
  out.field(4, r.hostname);
  out.field(5, r.user);
  out.field(6, r.ports);
  if (!r.log_dir.empty()) out.field(7, r.log_dir);  // there was none before 2013
  out.field(8, r.uid);
}
void put_plain(Writer& out, const ProcessRecord& r) {
  out.field(1, r.seq);
  out.field(3, r.process);
  out.field(5, r.state);
  out.field(6, r.start_time);
  out.field(7, r.pid);
  out.field(8, r.stop_time);
  out.field(9, r.return_code);
  out.field(10, r.coordinator_pid);
  out.field(11, r.fork_time);
}
void put_plain(Writer& out, const TaskRecord& r) {
  out.field(1, r.state);
  out.field(2, r.timestamp_ms);
  out.field(3, r.runner_pid);
  out.field(4, r.runner_uid);
}
void put_plain(Writer& out, const SampleRecord& r) {
  out.field(1, r.process);
  out.field(2, r.run);
  out.field(3, r.time);
  out.field(4, r.cpu);
  put(out, 5, r.usage);
}

void put_plain(Writer& out, const EventRecord& r) {
  out.field(1, r.time);
  out.field(2, r.kind);
  out.field(3, r.process);
  out.field(4, r.run);
  out.field(5, r.words);
  if (!r.details.empty()) out.field(6, r.details);
}

void put_ours(Writer& out, const HeaderRecord& r) { out.field(kReason, r.address); }
void put_ours(Writer& out, const ProcessRecord& r) {
  out.field(kReason, r.reason);
  out.field(kExtra, r.coordinator_start);
  if (r.usage) put(out, kUsage, *r.usage);
  out.field(kLimits, r.limits);
}
void put_ours(Writer& out, const TaskRecord& r) {
  out.field(kReason, r.reason);
  out.field(kExtra, r.boot_id);
  if (r.usage) put(out, kUsage, *r.usage);
  out.field(kOutcome, r.outcome);
  out.field(kLimits, r.limits);
}
void put_ours(Writer&, const SampleRecord&) {}
void put_ours(Writer&, const EventRecord&) {}

void get(Reader& in, const Field& field, Usage& usage) {
  in.expect(field, Type::kStruct);
  for (Field f = in.field(); f.type != Type::kStop; f = in.field()) {
    if (f.id < 1 || static_cast<std::size_t>(f.id) > std::size(kUsageFields)) {
      in.skip(f);
      continue;
    }
    Amount& amount = usage.*kUsageFields[f.id - 1].value;
    in.get(f, amount);
    if (amount && *amount < 0) amount.reset();
  }
}

/// Both kinds of state have the numbers 0 to 6.
template <class State>
State get_state(Reader& in, const Field& field) {
  std::int32_t number = 0;
  in.get(field, number);
  if (number < 0 || number > 6) in.complain("there is no state " + std::to_string(number));
  return in.ok() ? static_cast<State>(number) : State{};
}

void take(Reader& in, const Field& f, HeaderRecord& r) {
  switch (f.id) {
    case 1:
      return in.get(f, r.task_id);
    case 2:
      return in.get(f, r.launch_time_ms);
    case 3:
      return in.get(f, r.sandbox);
    case 4:
      return in.get(f, r.hostname);
    case 5:
      return in.get(f, r.user);
    case 6:
      return in.get(f, r.ports);
    case 7:
      return in.get(f, r.log_dir);
    case 8:
      return in.get(f, r.uid);
    case kReason:
      return in.get(f, r.address);
    default:
      return in.skip(f);
  }
}
void take(Reader& in, const Field& f, ProcessRecord& r) {
  switch (f.id) {
    case 1:
      return in.get(f, r.seq);
    case 3:
      return in.get(f, r.process);
    case 5:
      r.state = get_state<ProcessState>(in, f);
      return;
    case 6:
      return in.get(f, r.start_time);
    case 7:
      return in.get(f, r.pid);
    case 8:
      return in.get(f, r.stop_time);
    case 9:
      return in.get(f, r.return_code);
    case 10:
      return in.get(f, r.coordinator_pid);
    case 11:
      return in.get(f, r.fork_time);
    case kReason:
      return in.get(f, r.reason);
    case kExtra:
      return in.get(f, r.coordinator_start);
    case kUsage:
      return get(in, f, r.usage.emplace());
    case kLimits:
      return in.get(f, r.limits);
    default:
      return in.skip(f);
  }
}
void take(Reader& in, const Field& f, TaskRecord& r) {
  switch (f.id) {
    case 1:
      r.state = get_state<TaskState>(in, f);
      return;
    case 2:
      return in.get(f, r.timestamp_ms);
    case 3:
      return in.get(f, r.runner_pid);
    case 4:
      return in.get(f, r.runner_uid);
    case kReason:
      return in.get(f, r.reason);
    case kExtra:
      return in.get(f, r.boot_id);
    case kUsage:
      return get(in, f, r.usage.emplace());
    case kLimits:
      return in.get(f, r.limits);
    case kOutcome:
      r.outcome = get_state<TaskState>(in, f);
      return;
    default:
      return in.skip(f);
  }
}
void take(Reader& in, const Field& f, SampleRecord& r) {
  switch (f.id) {
    case 1:
      return in.get(f, r.process);
    case 2:
      return in.get(f, r.run);
    case 3:
      return in.get(f, r.time);
    case 4:
      return in.get(f, r.cpu);
    case 5:
      return get(in, f, r.usage);
    default:
      return in.skip(f);
  }
}

void take(Reader& in, const Field& f, EventRecord& r) {
  switch (f.id) {
    case 1:
      return in.get(f, r.time);
    case 2:
      return in.get(f, r.kind);
    case 3:
      return in.get(f, r.process);
    case 4:
      return in.get(f, r.run);
    case 5:
      return in.get(f, r.words);
    case 6:
      return in.get(f, r.details);
    default:
      return in.skip(f);
  }
}

/// Reads the fields of a record up to the stop of the inner struct, and checks the CRC on its way. Only Thermos's own
/// kinds may come without one, and only if none stands at the end: a damaged length can make a string swallow it.
template <class R>
void take_all(Reader& in, std::string_view bytes, R& record) {
  bool checked = member_of(record) < kCrcField && !has_checksum(bytes);
  for (Field f = in.field(); f.type != Type::kStop; f = in.field()) {
    if (f.id != kCrcField) {
      take(in, f, record);
      continue;
    }
    checked = true;
    std::int32_t sum = 0;
    in.get(f, sum);
    if (static_cast<std::uint32_t>(sum) != crc32c(bytes.substr(0, f.offset))) in.complain("wrong checksum");
  }
  if (!checked) in.complain("no checksum");
}

Result<Record> decode_member(Reader& in, std::string_view bytes, Record record) {
  std::visit([&](auto& inner) { take_all(in, bytes, inner); }, record);
  if (in.field().type != Type::kStop) in.complain("more than one record");
  if (!in.rest().empty()) in.complain("bytes left over");
  if (!in.ok()) return fail(std::errc::bad_message, in.problem());
  return record;
}

}  // namespace

std::string encode_record(const Record& record) {
  Writer out;
  std::visit(
      [&](const auto& inner) {
        out.begin(member_of(inner));
        put_plain(out, inner);
        put_ours(out, inner);
        out.field(kCrcField, static_cast<std::int32_t>(crc32c(out.bytes())));
      },
      record);
  out.stop();
  out.stop();
  return out.take();
}

std::string encode_plain_record(const Record& record) {
  Writer out;
  std::visit([&](const auto& inner) { out.begin(member_of(inner)), put_plain(out, inner); }, record);
  out.stop();
  out.stop();
  return out.take();
}

Result<Record> decode_record(std::string_view bytes) {
  Reader in(bytes);
  const Field member = in.field();
  in.expect(member, Type::kStruct);
  switch (member.id) {
    case 1:
      return decode_member(in, bytes, HeaderRecord{});
    case 2:
      return decode_member(in, bytes, ProcessRecord{});
    case 3:
      return decode_member(in, bytes, TaskRecord{});
    case 100:
      return decode_member(in, bytes, SampleRecord{});
    case 101:
      return decode_member(in, bytes, EventRecord{});
    default:
      in.complain("no known kind of record");
      return fail(std::errc::bad_message, in.problem());
  }
}

bool has_checksum(std::string_view bytes) {
  constexpr std::string_view kField("\x08\x00\x64", 3);
  constexpr std::size_t kTail = 9;  // the field's header and value, and the stops of both structs
  return bytes.size() >= kTail && bytes.substr(bytes.size() - kTail, kField.size()) == kField;
}

std::string framed(std::string_view payload) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift & 0xff);
  return out.append(payload);
}

}  // namespace dewar
