#include "agent/cli/logs_view.h"

#include <algorithm>
#include <cstdio>

#include "agent/cli/moment.h"
#include "agent/cli/words.h"
#include "base/json_writer.h"
#include "base/units.h"
#include "base/utf8.h"

namespace dewar {
namespace {

constexpr std::size_t kMaxName = 24;  // columns

char32_t code_of(std::string_view character) {
  if (character.size() == 1) return static_cast<unsigned char>(character[0]);
  char32_t code = static_cast<unsigned char>(character[0]) & (0xFFu >> (character.size() + 1));
  for (const char byte : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(byte) & 0x3Fu);
  return code;
}

/// Controls, line separators, and what turns the direction of writing.
bool steers(char32_t code) {
  return (code < 0x20 && code != '\t') || (code >= 0x7F && code < 0xA0) || code == 0x200E || code == 0x200F ||
         code == 0x2028 || code == 0x2029 || (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

std::string hex(const char* form, unsigned number) {
  char text[16];
  std::snprintf(text, sizeof text, form, number);
  return text;
}

std::string right(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

/// 75.25 s -> "1:15.250".
std::string span_of(std::int64_t nanoseconds) {
  const char* const sign = nanoseconds < 0 ? "-" : "";
  const long long millis = std::llabs(nanoseconds) / 1'000'000;
  char text[64];
  if (millis >= 3'600'000) {
    std::snprintf(text, sizeof text, "%s%lld:%02lld:%02lld.%03lld", sign, millis / 3'600'000, millis / 60'000 % 60,
                  millis / 1000 % 60, millis % 1000);
  } else {
    std::snprintf(text, sizeof text, "%s%lld:%02lld.%03lld", sign, millis / 60'000, millis / 1000 % 60, millis % 1000);
  }
  return text;
}

void put_place(JsonWriter& json, const LogItem& item) {
  json.field("stream", file_name(item.stream)).field("position", item.position);
  json.field("cursor", to_string(cursor_of(item)));
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    // Most bytes of most logs are plain.
    const auto plain = [](char c) { return (c >= 0x20 && c < 0x7F) || c == '\t'; };
    const auto odd = std::find_if_not(text.begin(), text.end(), plain);
    out.append(text.begin(), odd);
    text.remove_prefix(static_cast<std::size_t>(odd - text.begin()));
    if (text.empty()) break;
    const std::size_t size = utf8_size(text);
    const char32_t code = size == 0 ? 0 : code_of(text.substr(0, size));
    if (size == 0 || (steers(code) && code < 0x80)) {
      out += hex("\\x%02x", static_cast<unsigned char>(text[0]));
    } else if (steers(code)) {
      out += hex("\\u%04x", static_cast<unsigned>(code));
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
}

std::string log_json(const LogItem& item) {
  constexpr const char* kEvents[] = {"line", "gap", "start", "end"};
  JsonWriter json;
  json.begin_object().key("time");
  item.time ? json.value(format_moment(*item.time)) : json.null();
  json.field("event", kEvents[static_cast<int>(item.kind)]);
  json.field("process", item.process).field("run", item.run);
  switch (item.kind) {
    case LogItem::Kind::kLine:
      put_place(json, item);
      json.field("text", item.text).field("continued", item.continued).field("unfinished", item.unfinished);
      json.field("match", item.match);
      break;
    case LogItem::Kind::kGap:
      put_place(json, item);
      json.field("bytes", item.missing).field("reason", name_of(item.cause));
      break;
    case LogItem::Kind::kStart:
      break;
    case LogItem::Kind::kEnd:
      json.field("state", to_string(item.ended->state)).key("return_code");
      item.ended->return_code ? json.value(*item.ended->return_code) : json.null();
      json.field("reason", why(*item.ended));
      break;
  }
  return json.end_object().take() + "\n";
}

LogView::LogView(Look look, const std::vector<std::string>& processes) : look_(look), names_(processes) {
  for (const std::string& name : names_) width_ = std::max(width_, columns_of(printable(name)));
  if (look_.runs) width_ += 2;
  width_ = std::min(width_, kMaxName);
}

std::string LogView::words_of_gap(const LogItem& item) {
  switch (item.cause) {
    case Missing::kLostPump:
      return "up to " + format_bytes(item.missing) + " lost: " + std::string(words_of(item.cause));
    case Missing::kRemoved:
      return format_bytes(item.missing) + " " + std::string(words_of(item.cause));
    case Missing::kUnreadable:
      return format_bytes(item.missing) + " cannot be read: " + std::string(words_of(item.cause));
    default:
      return format_bytes(item.missing) + " dropped: " + std::string(words_of(item.cause));
  }
}

std::string LogView::label_of(const LogItem& item) const {
  std::string label = printable(item.process);
  if (look_.runs) label += "#" + std::to_string(item.run);
  return cut_to(label, kMaxName, look_.paint);
}

/// The process and the stream.
const std::string& LogView::prefix_of(const LogItem& item) {
  const bool error =
      item.stream == OutputStream::kStderr && (item.kind == LogItem::Kind::kLine || item.kind == LogItem::Kind::kGap);
  if (!prefix_.text.empty() && prefix_.process == item.process && prefix_.run == item.run && prefix_.error == error)
    return prefix_.text;
  const std::string label = label_of(item);
  const std::size_t columns = columns_of(label);
  width_ = std::max(width_, columns);
  auto name = std::ranges::find(names_, item.process);
  if (name == names_.end()) name = names_.insert(name, std::string(item.process));
  std::string text = look_.paint.hue(static_cast<std::size_t>(name - names_.begin()), label);
  text.append(width_ - columns + 1, ' ');
  const char* const sign = look_.paint.utf8 ? (error ? "┃" : "│") : error ? "!" : "|";
  text += look_.paint.tone(error ? Tone::kBad : Tone::kFaint, sign) + " ";
  prefix_ = {std::string(item.process), std::move(text), item.run, error};
  return prefix_.text;
}

/// What stands in front of an item.
void LogView::margin(std::string& out, const LogItem& item) {
  if (look_.times != Times::kNone) out += look_.paint.tone(Tone::kFaint, time_of(item)) + " ";
  if (look_.prefix) out += prefix_of(item);
}

std::string LogView::time_of(const LogItem& item) {
  const auto time = item.time;
  switch (look_.times) {
    case Times::kNone:
      return {};
    case Times::kAbsolute:
      return time ? local_moment(*time) : std::string(23, ' ');
    case Times::kRelative:
      return right(time ? span_of(*time - look_.origin) : "", 11);
    case Times::kDelta:
      break;
  }
  const std::string text = time && last_time_ ? "+" + span_of(*time - *last_time_) : "";
  if (time) last_time_ = time;
  return right(text, 12);
}

std::string LogView::mark_of(const LogItem& item) const {
  const Paint& paint = look_.paint;
  if (item.kind == LogItem::Kind::kGap) return paint.tone(Tone::kWarn, "-- " + words_of_gap(item) + " --");
  const std::string run = "run " + std::to_string(item.run) + " ";
  if (item.kind == LogItem::Kind::kStart) return paint.tone(Tone::kFaint, "-- " + run + "started --");
  const std::string reason = printable(why(*item.ended));
  return paint.tone(Tone::kFaint, "-- " + run) +
         paint.tone(tone_of(item.ended->state), sign_and_word(item.ended->state, paint)) +
         paint.tone(Tone::kFaint, (reason.empty() ? "" : ": " + reason) + " --");
}

void LogView::close(std::string& out) {
  if (open_) out += '\n';
  open_.reset();
}

void LogView::show(std::string& out, const LogItem& item) {
  if (item.kind == LogItem::Kind::kLine) return show_line(out, item);
  if (item.kind != LogItem::Kind::kGap && !look_.ends) return;
  close(out);
  margin(out, item);
  out += mark_of(item) + "\n";
}

void LogView::show_line(std::string& out, const LogItem& item) {
  const auto begins_there = [&] {
    return open_->process == item.process && open_->run == item.run && open_->stream == item.stream &&
           open_->position == item.position;
  };
  if (!item.continued || !open_ || !begins_there()) {
    close(out);
    if (item.apart) out += look_.paint.tone(Tone::kFaint, "--") + "\n";
    margin(out, item);
  }
  open_.reset();
  const bool windows = !look_.raw && !item.unfinished && item.text.ends_with('\r');
  const std::string_view text = item.text.substr(0, item.text.size() - (windows ? 1 : 0));
  if (look_.raw) {
    out += text;
  } else if (item.match) {
    append_escaped(out, text);
  } else {
    std::string words;
    append_escaped(words, text);
    out += look_.paint.tone(Tone::kFaint, words);
  }
  if (item.unfinished) {
    open_ = cursor_of(item);
  } else {
    out += '\n';
  }
}

std::string LogView::finish() {
  std::string end;
  if (!look_.raw) close(end);
  return end;
}

}  // namespace dewar
