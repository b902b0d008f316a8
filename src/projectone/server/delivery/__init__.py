"""Hand out: releases as signed rows, packages as immutable bytes."""
