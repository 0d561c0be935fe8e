// A checkpoint stream: whatever its bytes, replay() tells records from damage, and what it accepts can be written back.
#include <cstdlib>

#include "thermos/checkpoint.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  const dewar::Replay told = dewar::replay(stream);
  if (told.good_bytes > size || told.records.size() != told.offsets.size()) std::abort();
  dewar::TaskHistory history;
  for (const dewar::Record& record : told.records) {
    const auto again = dewar::decode_record(dewar::encode_record(record));
    if (!again || dewar::encode_record(*again) != dewar::encode_record(record)) std::abort();
    (void)!history.apply(record);
  }
  return 0;
}
