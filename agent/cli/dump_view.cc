#include "agent/cli/dump_view.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "agent/cli/paint.h"
#include "base/json_writer.h"
#include "base/units.h"
#include "thermos/checkpoint.h"

namespace dewar {
namespace {

constexpr std::size_t kLengthSize = 4;

using Value = std::variant<std::int64_t, double, std::string>;
using Fields = std::vector<std::pair<std::string, Value>>;

template <class T>
void add(Fields& fields, const std::string& name, const std::optional<T>& value) {
  if (!value) return;
  if constexpr (std::is_integral_v<T>) {
    fields.emplace_back(name, static_cast<std::int64_t>(*value));
  } else {
    fields.emplace_back(name, *value);
  }
}

void add(Fields& fields, const std::optional<Usage>& usage) {
  if (!usage) return;
  for (const UsageField& field : kUsageFields) {
    if (const Amount amount = (*usage).*field.value) fields.emplace_back("usage." + std::string(field.name), *amount);
  }
}

/// One record, ready to be shown.
struct Shown {
  std::string kind, state;
  Fields fields;
};

Shown show(const HeaderRecord& r) {
  Shown out{"header", "", {{"task_id", r.task_id}, {"launch_time_ms", r.launch_time_ms}, {"sandbox", r.sandbox}}};
  if (!r.log_dir.empty()) out.fields.emplace_back("log_dir", r.log_dir);
  out.fields.emplace_back("hostname", r.hostname);
  out.fields.emplace_back("user", r.user);
  add(out.fields, "uid", r.uid);
  for (const auto& [name, number] : r.ports) out.fields.emplace_back("ports." + name, number);
  return out;
}

Shown show(const ProcessRecord& r) {
  Shown out{"process", std::string(to_string(r.state)), {{"process", r.process}, {"seq", r.seq}}};
  add(out.fields, "coordinator_pid", r.coordinator_pid);
  add(out.fields, "coordinator_start", r.coordinator_start);
  add(out.fields, "fork_time", r.fork_time);
  add(out.fields, "pid", r.pid);
  add(out.fields, "start_time", r.start_time);
  add(out.fields, "stop_time", r.stop_time);
  add(out.fields, "return_code", r.return_code);
  add(out.fields, "reason", r.reason);
  add(out.fields, r.usage);
  return out;
}

Shown show(const TaskRecord& r) {
  Shown out{"task", std::string(to_string(r.state)), {{"timestamp_ms", r.timestamp_ms}}};
  out.fields.emplace_back("runner_pid", std::int64_t{r.runner_pid});
  out.fields.emplace_back("runner_uid", std::int64_t{r.runner_uid});
  if (r.outcome) out.fields.emplace_back("outcome", std::string(to_string(*r.outcome)));
  add(out.fields, "reason", r.reason);
  add(out.fields, "boot_id", r.boot_id);
  add(out.fields, r.usage);
  return out;
}

Shown show(const EventRecord& r) {
  return {
      "event", r.kind, {{"time", r.time}, {"process", r.process}, {"run", std::int64_t{r.run}}, {"words", r.words}}};
}

Shown show(const SampleRecord& r) { return {"sample", "", {{"process", r.process}, {"run", std::int64_t{r.run}}}}; }

/// Told of everything in a stream, from front to back.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void record(std::size_t offset, std::string_view payload, const Shown& shown) = 0;
  virtual void damage(std::size_t offset, const std::string& reason) = 0;
  virtual void torn(std::size_t offset, std::size_t bytes) = 0;
};

std::size_t frame_size(std::string_view rest) {
  std::size_t length = 0;
  for (const char byte : rest.substr(0, kLengthSize)) length = length << 8 | static_cast<unsigned char>(byte);
  return kLengthSize + length;
}

void walk(std::string_view stream, Listener& listener) {
  std::size_t base = 0;
  while (base < stream.size()) {
    const Replay part = replay(stream.substr(base));
    for (std::size_t i = 0; i < part.records.size(); ++i) {
      const std::size_t from = base + part.offsets[i];
      const std::string_view payload = stream.substr(from + kLengthSize, frame_size(stream.substr(from)) - kLengthSize);
      listener.record(from, payload, std::visit([](const auto& record) { return show(record); }, part.records[i]));
    }
    base += part.good_bytes;
    const std::string_view rest = stream.substr(base);
    if (part.damage.empty()) {
      if (!rest.empty()) listener.torn(base, rest.size());
      return;
    }
    listener.damage(base, part.damage);
    const bool whole = rest.size() >= kLengthSize && frame_size(rest) <= rest.size();
    if (!whole) return;
    base += frame_size(rest);
  }
}

std::string padded(std::string text, std::size_t width, bool right = false) {
  text.insert(right ? 0 : text.size(), std::string(width - std::min(width, text.size()), ' '));
  return text;
}

std::string value_as_text(std::string& name, const Value& value) {
  if (const auto* number = std::get_if<double>(&value)) return format_rfc3339(*number);
  if (const auto* text = std::get_if<std::string>(&value)) {
    const std::string shown = printable(*text);
    return shown.empty() || shown.find_first_of(" \"=") != std::string::npos ? '"' + shown + '"' : shown;
  }
  const std::int64_t number = std::get<std::int64_t>(value);
  if (!name.ends_with("_ms")) return std::to_string(number);
  name.resize(name.size() - 3);
  return format_rfc3339(static_cast<double>(number) / 1000);
}

class TextDump final : public Listener {
 public:
  StreamDump out{line("OFFSET", "KIND", "CRC", "STATE", "FIELDS"), false};

  void record(std::size_t offset, std::string_view payload, const Shown& shown) override {
    std::string fields;
    for (auto [name, value] : shown.fields) {
      const std::string text = value_as_text(name, value);
      fields += (fields.empty() ? "" : " ") + printable(name) + "=" + text;
    }
    out.text += line(std::to_string(offset), shown.kind, has_checksum(payload) ? "ok" : "none", shown.state, fields);
  }
  void damage(std::size_t offset, const std::string& reason) override {
    out.text += line(std::to_string(offset), "?", "BAD", "", "damaged: " + printable(reason));
    out.damaged = true;
  }
  void torn(std::size_t offset, std::size_t bytes) override {
    out.text += line(std::to_string(offset), "?", "", "",
                     "torn: " + std::to_string(bytes) + " bytes of a record that was not written to its end");
  }

 private:
  static std::string line(const std::string& offset, const std::string& kind, const std::string& crc,
                          const std::string& state, const std::string& fields) {
    return padded(offset, 8, true) + "  " + padded(kind, 7) + "  " + padded(crc, 4) + "  " + padded(state, 10) + "  " +
           fields + "\n";
  }
};

class JsonDump final : public Listener {
 public:
  void record(std::size_t offset, std::string_view payload, const Shown& shown) override {
    records_.emplace_back();
    records_.back() = {offset, payload.size(), has_checksum(payload), shown};
  }
  void damage(std::size_t offset, const std::string& reason) override { damage_.emplace_back(offset, reason); }
  void torn(std::size_t, std::size_t bytes) override { torn_ = bytes; }

  StreamDump finish(std::size_t size) {
    JsonWriter json(JsonWriter::Style::kPretty);
    json.begin_object().field("bytes", size).key("records").begin_array();
    for (const Entry& entry : records_) {
      json.begin_object().field("offset", entry.offset).field("length", entry.length).field("kind", entry.shown.kind);
      json.field("crc", entry.checked ? "ok" : "none");
      if (!entry.shown.state.empty()) json.field("state", entry.shown.state);
      for (const auto& field : entry.shown.fields)
        std::visit([&](const auto& content) { json.field(field.first, content); }, field.second);
      json.end_object();
    }
    json.end_array().key("damage").begin_array();
    for (const auto& [offset, reason] : damage_)
      json.begin_object().field("offset", offset).field("reason", reason).end_object();
    json.end_array().field("torn_bytes", torn_).end_object();
    return {json.take() + "\n", !damage_.empty()};
  }

 private:
  struct Entry {
    std::size_t offset = 0, length = 0;
    bool checked = false;
    Shown shown;
  };
  std::vector<Entry> records_;
  std::vector<std::pair<std::size_t, std::string>> damage_;
  std::size_t torn_ = 0;
};

}  // namespace

StreamDump dump_as_text(std::string_view stream) {
  TextDump dump;
  walk(stream, dump);
  return std::move(dump.out);
}

StreamDump dump_as_json(std::string_view stream) {
  JsonDump dump;
  walk(stream, dump);
  return dump.finish(stream.size());
}

}  // namespace dewar
