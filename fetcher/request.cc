#include "fetcher/request.h"

#include "base/document.h"
#include "base/units.h"

namespace dewar {
namespace {

constexpr DocumentKind kRequest{"DWFR", 2, "fetch request"}, kStatus{"DWFS", 2, "fetch status"};

}  // namespace

std::string encode_fetch_request(const FetchRequest& request) { return encode_document(kRequest, request); }

Result<FetchRequest> decode_fetch_request(std::string_view bytes) {
  FetchRequest request = DEWAR_TRY(decode_document<FetchRequest>(kRequest, bytes));
  for (const Artifact& artifact : request.artifacts) {
    if (artifact.extract > Unpack::kNever || artifact.cache > CacheUse::kNo || artifact.timeout <= Duration{})
      return fail(std::errc::bad_message, "fetch request: it holds a value that has no meaning");
  }
  return request;
}

std::string encode_fetch_status(const FetchStatus& status) { return encode_document(kStatus, status); }

Result<FetchStatus> decode_fetch_status(std::string_view bytes) {
  FetchStatus status = DEWAR_TRY(decode_document<FetchStatus>(kStatus, bytes));
  if (status.stage > FetchStage::kFailed) return fail(std::errc::bad_message, "fetch status: an unknown stage");
  return status;
}

std::string describe_progress(const FetchStatus& status) {
  if (status.stage == FetchStage::kDone || status.stage == FetchStage::kFailed) return {};
  std::string name = status.uri.substr(0, status.uri.find('?'));
  name = name.substr(name.rfind('/') + 1);
  std::string words = (name.empty() ? status.uri : name) + ": ";
  if (status.stage == FetchStage::kUnpacking) return words + "unpacking";
  if (!status.words.empty()) words += status.words + ", ";
  if (status.total > 0 && status.bytes <= status.total) {
    const auto percent = static_cast<int>(static_cast<double>(status.bytes) * 100 / static_cast<double>(status.total));
    words += std::to_string(percent) + " % of " + format_bytes(status.total);
  } else {
    words += format_bytes(status.bytes);
  }
  if (status.rate < 1) return words;
  words += ", " + format_bytes(static_cast<std::uint64_t>(status.rate)) + "/s";
  if (status.total <= status.bytes) return words;
  const double left = static_cast<double>(status.total - status.bytes) / status.rate;
  if (left < 86400) words += ", " + format_duration(std::chrono::seconds(static_cast<int>(left + 1))) + " left";
  return words;
}

}  // namespace dewar
