// Answers to a health check: whatever the bytes and wherever they are cut, nothing is read beyond them, little is kept,
// and what was wrong or whole stays so however much follows.
#include <cstdint>

#include "isolation/launch/http_answer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using dewar::HttpAnswer;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const HttpAnswer all = dewar::read_http_answer(bytes, true);
  if (all.state == HttpAnswer::State::kPart) __builtin_trap();  // it has ended
  if (all.body.size() > HttpAnswer::kMostBody || all.words.size() > 512) __builtin_trap();
  const HttpAnswer part = dewar::read_http_answer(bytes.substr(0, (size - 1) * data[0] / 256), false);
  if (part.state == HttpAnswer::State::kWrong && all.state != HttpAnswer::State::kWrong) __builtin_trap();
  if (part.state == HttpAnswer::State::kWhole &&
      (all.state != HttpAnswer::State::kWhole || all.code != part.code || all.body != part.body))
    __builtin_trap();
  const dewar::HttpProbe probe{80, std::string(bytes), std::string(bytes.substr(0, data[0])), data[0], {}};
  for (const char c : dewar::http_request(probe))
    if (static_cast<unsigned char>(c) > 0x7e) __builtin_trap();
  (void)dewar::judge(probe, all);
  return 0;
}
