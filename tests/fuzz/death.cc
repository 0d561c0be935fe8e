// What explanations are read from: lines of the kernel's log, last lines of a shell, addresses with secrets in them.
// Any bytes: nothing is read beyond them, what comes out fits a record, and it is known where masking has moved the
// rest to.
#include "thermos/explain/death.h"

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "isolation/kernel_log.h"
#include "thermos/secrets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  dewar::ExitFacts facts;
  facts.return_code = size % 2 == 0 ? 127 : -SIGSEGV;
  facts.stderr_tail = text;
  facts.fault = dewar::read_fault(text);
  if (const auto call = dewar::read_forbidden_call(text)) facts.forbidden_call = call->number;
  const dewar::Death death = dewar::explain_exit(facts);
  for (const char c : death.words)
    if (static_cast<unsigned char>(c) < 0x20) __builtin_trap();
  if (dewar::one_line(text, 64).size() > 64) __builtin_trap();
  dewar::Secrets secrets;
  secrets.add_from_uris(text);
  secrets.add(std::string(text.substr(0, size / 2)));
  const dewar::MaskedText masked = secrets.mask(text);
  if (masked.moved(size) != masked.text.size() || masked.moved(0) != 0) __builtin_trap();
  std::size_t end = 0;
  for (const auto& mask : masked.masks) {
    if (mask.begin < end || mask.end <= mask.begin || mask.end > size) __builtin_trap();
    end = mask.end;
  }
  return 0;
}
