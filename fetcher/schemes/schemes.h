// The schemes, a file each.
#pragma once

#include "fetcher/transfer_order.h"

namespace dewar {

/// What every scheme works with.
struct TransferContext {
  const TransferOrder& order;
  const FetchConfig& config;
  int out;
  const TransferProgress& progress;
};

TransferResult transfer_http(const TransferContext& context);    ///< http, https
TransferResult transfer_ftp(const TransferContext& context);     ///< ftp, ftps
TransferResult transfer_file(const TransferContext& context);    ///< file, and absolute paths
TransferResult transfer_helper(const TransferContext& context);  ///< the operator's command

/// Refuses what is too big or does not fit where it goes; empty if it is neither. `total`: bytes of the whole.
std::string size_refusal(const TransferOrder& order, std::uint64_t total);

}  // namespace dewar
