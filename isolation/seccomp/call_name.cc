#include "isolation/seccomp/call_name.h"

namespace dewar {

std::string_view call_name(int number) {
  switch (number) {
#define X(call, name, in_default, in_strict, opened_by) \
  case call:                                            \
    return #name;
#include "isolation/seccomp/table.inc"
#undef X
    default:
      return {};
  }
}

}  // namespace dewar
