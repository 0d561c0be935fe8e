// URIs as far as dewar-fetch itself looks at them: what is connected to is decided by libcurl's parser, in the process
// that does it.
#pragma once

#include <string>
#include <string_view>

#include "fetcher/artifact.h"

namespace dewar {

/// "https", in lower case; "file" for an absolute path.
std::string scheme_of(std::string_view uri);
/// "/srv/a" of "file:///srv/a", "file://localhost/srv/a" and "/srv/a"; empty if another host is named.
std::string file_path(std::string_view uri);
/// The last part of the path, without query and fragment, and with %XX decoded; "artifact" if nothing fit for a file's
/// name is there.
std::string file_name(std::string_view uri);
/// For people and logs: without user, password, query and fragment.
std::string shown_uri(std::string_view uri);
/// Whether the name ends as archives' names do, so that Unpack::kByName unpacks it.
bool is_archive_name(std::string_view name);
/// Whether what comes may be meant for this user only: a credential, headers, or a URI with a user or a query.
bool is_private(const Artifact& artifact);

}  // namespace dewar
