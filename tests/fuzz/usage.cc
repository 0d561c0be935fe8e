// A history of usage: whatever its bytes, each ring decodes into points in order of time, no more than it has seconds.
#include <algorithm>
#include <cstdlib>

#include "thermos/usage_ring.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const dewar::UsageRingShape& shape : {dewar::kSecondRing, dewar::kTenSecondRing, dewar::kMinuteRing}) {
    const auto points = dewar::decode_usage_ring(shape, bytes);
    if (points.size() > shape.slots * 2) std::abort();
    if (!std::ranges::is_sorted(points, {}, &dewar::UsagePoint::tick)) std::abort();
  }
  return 0;
}
