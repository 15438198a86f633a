#include "hf_floors.h"
