// The rules for names and command lines. Each returns words that follow "'x' ", or nothing if all is well.
#pragma once

#include <string>
#include <string_view>

namespace dewar {

/// A process's name is a folder's name too: not empty, at most 200 bytes, no '/', no '.' in front, no control
/// character.
std::string process_name_problem(std::string_view name);
/// A task's name: not empty, at most 200 bytes, no control character.
std::string title_problem(std::string_view name);
/// The argument of /bin/bash -c: not blank, and below 128 KiB, what Linux takes as one argument (execve(2)).
std::string cmdline_problem(std::string_view cmdline);
/// A URI that can be fetched, `scheme://host/path` or an absolute path of the host. One with a template passes: it is
/// looked at again once that is filled in.
std::string uri_problem(std::string_view uri);
/// Relative, not empty, without ".", ".." or "//", at most 1024 bytes.
bool is_inner_path(std::string_view path);
/// Letters, digits, '_', '-' and '.', at least one: a part of a job's key.
bool is_key_part(std::string_view text);

}  // namespace dewar
