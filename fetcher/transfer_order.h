// What one try to get the bytes of one URI is told, and what becomes of it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/clock.h"
#include "fetcher/config.h"

namespace dewar {

struct TransferOrder {
  std::string uri;
  std::uint64_t offset = 0;         ///< bytes that earlier tries have delivered
  std::string etag, last_modified;  ///< of those bytes, or of what the cache holds
  bool if_changed = false;          ///< nothing is to come if `etag` or `last_modified` still holds
  bool resume_blindly = false;      ///< go on at `offset` without a validator: a digest will tell
  std::map<std::string, std::string> headers;
  Credential credential, proxy_credential;
  std::uint64_t max_size = 0;  ///< bytes of the whole
  std::uint64_t room = 0;      ///< bytes that the place they go to can take
  Duration timeout{};          ///< of this try
  bool loopback = false;
};

enum class TransferEnd : std::uint8_t {
  kComplete,
  kUnchanged,  ///< if_changed: what the cache holds is still good
  kRestart,    ///< cannot go on at `offset`: the server has something else now, or knows no ranges
  kAgain,      ///< may go well another time
  kRefused,    ///< will not go well another time
};

struct TransferResult {
  TransferEnd end = TransferEnd::kAgain;
  std::string words;          ///< "HTTP 404 from 127.0.0.1"
  std::string detail;         ///< "last body: …"
  std::uint64_t written = 0;  ///< bytes delivered by this try
  std::string etag, last_modified;
  std::string address;     ///< that was connected to
  Duration wait_before{};  ///< the server wants the next try no sooner
};

template <class Coder>
void code(Coder& c, TransferResult& v) {
  c(v.end, v.words, v.detail, v.written, v.etag, v.last_modified, v.address, v.wait_before);
}

/// Told some times a second: bytes so far of the whole, and how many it will be (0: not known).
using TransferProgress = std::function<void(std::uint64_t bytes, std::uint64_t total)>;

}  // namespace dewar
