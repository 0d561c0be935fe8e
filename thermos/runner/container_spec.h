#pragma once

#include "isolation/container.h"
#include "thermos/runner_spec.h"

namespace dewar {

/// The container of a run.
ContainerSpec container_spec(const RunnerSpec& run);

}  // namespace dewar
