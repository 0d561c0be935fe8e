// Whatever the parts of dewar-fetch say once somebody has taken them over, and whatever stands in its files.
#include <cstddef>
#include <cstdint>
#include <string>

#include "fetcher/config.h"
#include "fetcher/parts.h"
#include "fetcher/request.h"
#include "fetcher/uri.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  (void)dewar::decode_transfer(bytes);
  (void)dewar::decode_keeper(bytes);
  (void)dewar::decode_unpacker(bytes);
  (void)dewar::decode_fetch_request(bytes);
  if (const auto status = dewar::decode_fetch_status(bytes)) (void)dewar::describe_progress(*status);
  (void)dewar::parse_fetch_config(bytes);
  (void)dewar::parse_credential(bytes);
  const std::string name = dewar::file_name(bytes);
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) __builtin_trap();
  dewar::TransferOrder order;
  order.uri = bytes;
  (void)dewar::without_secrets(bytes, order);
  (void)dewar::shown_uri(bytes);
  return 0;
}
