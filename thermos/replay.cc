#include <utility>

#include "thermos/checkpoint.h"

namespace dewar {
namespace {

constexpr std::size_t kLengthSize = 4;
constexpr std::size_t kMaxRecord = 64u << 20;  // as in Thermos

std::size_t length_at(std::string_view bytes) {
  std::size_t length = 0;
  for (const char byte : bytes.substr(0, kLengthSize)) length = length << 8 | static_cast<unsigned char>(byte);
  return length;
}

/// The payload of the frame that `bytes` begin with; nothing if they hold no whole one.
std::string_view payload_of(std::string_view bytes) {
  if (bytes.size() < kLengthSize || length_at(bytes) > bytes.size() - kLengthSize) return {};
  return bytes.substr(kLengthSize, length_at(bytes));
}

/// A writer that was cut off leaves the beginning of one record and nothing else. If a whole record can be made out in
/// what is left, the length in front of it is what is wrong.
bool holds_record(std::string_view tail) {
  if (tail.size() > kLengthSize && decode_record(tail.substr(kLengthSize))) return true;
  for (std::size_t at = 1; at + kLengthSize < tail.size(); ++at) {
    const std::string_view payload = payload_of(tail.substr(at));
    if (!payload.empty() && decode_record(payload)) return true;
  }
  return false;
}

}  // namespace

Replay replay(std::string_view stream) {
  Replay out;
  while (out.good_bytes < stream.size()) {
    const std::string_view rest = stream.substr(out.good_bytes);
    const bool has_length = rest.size() >= kLengthSize;
    if (!has_length || length_at(rest) > rest.size() - kLengthSize) {
      if (has_length && (length_at(rest) > kMaxRecord || holds_record(rest))) {
        out.damage = "its length is given as " + std::to_string(length_at(rest)) + ", which is wrong";
      }
      break;
    }
    auto record = decode_record(payload_of(rest));
    if (!record) {
      out.damage = record.error().context;
      break;
    }
    out.records.push_back(std::move(record).take());
    out.offsets.push_back(out.good_bytes);
    out.good_bytes += kLengthSize + length_at(rest);
  }
  return out;
}

}  // namespace dewar
