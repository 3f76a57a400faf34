"""Looking through the results of a conversion: before and after, one picture after the other."""
