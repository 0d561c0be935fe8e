#pragma once

namespace dewar {

/// A 32-bit system call (int 0x80) with arguments that no call accepts; its result, or minus errno.
inline long call32(long number) {
  long result = number;
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(-1), "c"(-1), "d"(-1), "S"(-1), "D"(-1)
               : "memory", "r8", "r9", "r10", "r11");
  return result;
}

}  // namespace dewar
