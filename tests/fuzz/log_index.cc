// Index segments and heads of compressed files: whatever the bytes, what is accepted is written back as it was.
#include "isolation/log_index.h"

#include <cstdlib>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (std::size_t at = 0; at < size; at += dewar::kIndexRecordSize) {
    const std::string_view rest = bytes.substr(at);
    const auto record = dewar::decode_index_record(rest);
    if (record && std::memcmp(dewar::encode_index_record(*record).data(), rest.data(), dewar::kIndexRecordSize) != 0)
      std::abort();
  }
  const auto head = dewar::decode_archive_head(bytes);
  if (head && std::memcmp(dewar::encode_archive_head(*head).data(), data, dewar::kArchiveHeadSize) != 0) std::abort();
  return 0;
}
