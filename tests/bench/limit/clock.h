// What the benchmark programs share: time, and samples as JSON.
#pragma once

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>

namespace bench {

inline std::int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/// "name": [1.5, 2.5]
inline void print_samples(const char* name, const std::vector<double>& samples, bool last = false) {
  std::printf("\"%s\": [", name);
  for (std::size_t i = 0; i < samples.size(); ++i) std::printf("%s%.3f", i == 0 ? "" : ", ", samples[i]);
  std::printf("]%s", last ? "" : ", ");
}

}  // namespace bench
