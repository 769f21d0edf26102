"""How models compare before a merge: tensors, origins, copies, outliers, scales and gradients."""
