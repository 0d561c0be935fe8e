// Profile files: whatever the bytes are, the parser answers with a policy or with words, and what it accepts compiles
// or is too long.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "isolation/seccomp/bpf.h"
#include "isolation/seccomp/profile_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::uint64_t capabilities : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    const auto policy = dewar::parse_profile(text, {capabilities, {6, 1}});
    if (policy) {
      const auto compiled = dewar::compile_bpf(*policy);
      if (!compiled && compiled.error().code != std::errc::argument_list_too_long) __builtin_trap();
    } else if (policy.error().message().empty()) {
      __builtin_trap();
    }
  }
  return 0;
}
