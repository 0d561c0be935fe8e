#pragma once

#include <string>

#include "base/result.h"
#include "thermos/explain/evidence.h"

namespace dewar {

/// What an explanation needs that only the moment of looking tells, as `bundle/moment` in a bundle has it: "now=…
/// runner=1". docs/formats.md, "Bundle".
std::string encode_moment(const Evidence& evidence);

/// Everything that a run folder tells of its task, live or dead; what cannot be read is left out. In an opened
/// bundle the moment is that of its making. Errors: there is no
/// runner.spec, or no records (ENOENT); EACCES.
Result<Evidence> gather_evidence(const std::string& run_folder);

}  // namespace dewar
